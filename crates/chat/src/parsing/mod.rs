//! Splits a model's streamed answer into reasoning, content and tool calls.
//!
//! Models mark their reasoning and their tool calls in the text they write, each family in a syntax of its own. A
//! [`Format`] names the syntaxes of one model, [`Format::detect`] finds them in its chat template, a [`Parser`] takes an
//! answer apart while it comes, and [`Format::tool_grammar`] writes the grammar that forces a call;
//! [`Format::response_grammar`] and [`Format::tools_or_response_grammar`] leave room for an answer of a given form.
//!
//! ```
//! use mlxm_chat::parsing::{Format, Parser, Part, ReasoningFormat, Tool, ToolFormat};
//!
//! let format = Format {
//!     tools: Some(ToolFormat::Hermes),
//!     reasoning: Some(ReasoningFormat::Think),
//! };
//! let tools = [Tool {
//!     name: "weather".to_owned(),
//!     parameters: serde_json::json!({"type": "object", "properties": {"city": {"type": "string"}}}),
//! }];
//! let mut parser = Parser::new(format, "<|im_start|>assistant\n", &tools);
//! let mut parts = parser.push("<think>\nThey want the weather.\n</think>\n\n<tool_call>\n");
//! parts.extend(parser.push(r#"{"name": "weather", "arguments": {"city": "Bern"}}"#));
//! parts.extend(parser.push("\n</tool_call>"));
//! parts.extend(parser.finish());
//! assert_eq!(
//!     parts,
//!     [
//!         Part::Reasoning("They want the weather.".to_owned()),
//!         Part::ToolCall { index: 0, name: "weather".to_owned() },
//!         Part::Arguments { index: 0, delta: r#"{"city": "Bern"}"#.to_owned() },
//!     ]
//! );
//! ```
//!
//! # What a caller can rely on
//!
//! - Text may be cut anywhere: the parts, joined, are always the same.
//! - Each character is given out as early as it is certain what it is. Text that may be the beginning of a marker is held
//!   back, and so is white space that a marker may follow: white space around reasoning and calls belongs to nobody.
//! - A call is announced as soon as its name is complete and is the name of a given tool. Nothing is taken back after
//!   that, and the deltas of its arguments are valid JSON when joined, if the call is complete.
//! - What looks like a call and is none (an unknown name, broken syntax, the end of the answer before the name) is given
//!   back as content, delimiters included.
//! - An announced call whose syntax breaks keeps the arguments it has; the text from there on is content. When the answer
//!   ends inside its arguments, what was read of them is given out; they are not completed.
//! - Without tools there are no calls: their markup is content. Reasoning is still split out.
//!
//! # Architecture invariant
//!
//! This crate is pure: it knows no tokenizer, no model, no clock and no protocol. Which of its delimiters are tokens of a
//! vocabulary is the caller's knowledge.

mod context;
mod detect;
mod format;
mod formats;
mod grammar;
mod input;
mod json;
mod lark;
mod marker;
mod parser;
mod part;
mod python;
mod reasoning;
mod tool;
mod values;

pub use format::{Format, ReasoningFormat, ToolFormat, UnknownFormat};
pub use grammar::{ForcedCall, ToolGrammarError};
pub use parser::Parser;
pub use part::Part;
pub use reasoning::{Phase, ReasoningTracker, open_reasoning_end};
pub use tool::Tool;

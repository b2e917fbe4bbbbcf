//! Incremental parsers: streamed output to reasoning, content and tool calls.
//!
//! Every model family delimits reasoning and tool calls in its own syntax. A [`Format`] names the syntaxes of one model and
//! [`Format::detect`] finds them in its chat template. A [`Parser`] parses the output as it is generated.
//! [`Format::tool_grammar`], [`Format::response_grammar`] and [`Format::tools_or_response_grammar`] build grammars that
//! force tool calls, structured output, or either.
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
//! # Guarantees
//!
//! - The joined parts do not depend on how the text is split into pieces.
//! - Text is emitted as soon as it can be classified. A possible prefix of a delimiter is held back, and so is white space
//!   before it: white space around reasoning and tool calls is dropped, except for one white space between two texts.
//! - A call is emitted as a whole, when it is complete: its name is that of a given tool, and its arguments are a JSON object
//!   in one [`Part::Arguments`].
//! - A tool `weather` is also found as `functions.weather`, which is how some templates list it.
//! - Delimiters, braces and commas that are missing, repeated or too many are tolerated as long as all arguments are complete.
//! - Text that resembles a call but is not (unknown name, invalid arguments) is emitted as content, delimiters included; a
//!   call that the end of the output truncates, without them. Delimiters that end nothing are dropped after calls and at the
//!   end of a line. After a call, other entries of its list are content without the separators.
//! - A closing tag inside an argument is a part of it unless the next argument or the end of the call follows, and so are calls
//!   inside an argument.
//! - A complete call at the start of a line interrupts the reasoning, which continues after the call unless its closing tag
//!   follows. Later blocks of reasoning start at the start of a line.
//! - Without tools the markup of calls is content. Reasoning is still split out.
//!
//! # Architecture invariant
//!
//! This module does not depend on a tokenizer, a model, a clock or a protocol. The caller knows which delimiters are
//! special tokens.

mod context;
mod delimiter;
mod detect;
mod format;
mod formats;
mod grammar;
mod input;
mod joiner;
pub(crate) mod json;
mod parser;
mod part;
mod python;
mod reasoning;
mod rejected;
mod tool;
mod value_scanner;
pub(crate) mod values;

pub use format::{Format, ReasoningFormat, ToolFormat, UnknownFormat};
pub use grammar::ForcedCall;
pub use parser::Parser;
pub use part::Part;
pub(crate) use reasoning::opening_tags;
pub use reasoning::{Phase, ReasoningTracker, open_reasoning_end};
pub use tool::Tool;

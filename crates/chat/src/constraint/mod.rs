//! Structured output: constrains sampling to JSON, a JSON schema, a regular expression or a Lark grammar.
//!
//! The [`Compiler`] of a model compiles a [`Grammar`] to a [`Matcher`], the constraint of a request: before each token it masks
//! those that the grammar does not allow, and it allows the end of the output only where the grammar is complete.
//!
//! ```
//! use mlxm_engine::{Engine, LoadOptions, Request};
//! use mlxm_chat::constraint::{Compiler, Grammar};
//! use serde_json::json;
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/tests/golden/llama-4bit");
//! let engine = Engine::load(folder, &LoadOptions::default())?;
//! let compiler = Compiler::for_engine(&engine);
//! let schema = json!({"enum": ["yes", "no"]});
//! let matcher = compiler.compile(&Grammar::JsonSchema(schema))?;
//! let request = Request {
//!     prompt: engine.tokenizer().encode("Is it time?", true)?,
//!     constraint: Some(Box::new(matcher)),
//!     ..Request::default()
//! };
//! let mut output = String::new();
//! for event in engine.submit(request)? {
//!     match event? {
//!         mlxm_engine::Event::Prefill(_) | mlxm_engine::Event::Started(_) => {}
//!         mlxm_engine::Event::Token(token) => output.push_str(&token.text),
//!         mlxm_engine::Event::Finished(finished) => output.push_str(&finished.text),
//!     }
//! }
//! assert!(output == "\"yes\"" || output == "\"no\"");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! Output that is not truncated matches its grammar. JSON schemas with keywords that cannot be enforced, and schemas that
//! cannot be satisfied, are rejected before anything is generated, with an error that names the keyword. Output uses a subset
//! of what a schema allows: JSON is compact, properties keep the order of the schema, control characters without a short
//! escape are not generated, numbers do not exceed a double (exponents have up to two digits), and strings with a known
//! `format` are restricted to those that common validators accept.
//!
//! # Map
//! - `schema`: JSON schemas, rewritten to the keywords that llguidance enforces.
//! - `vocabulary`, `matcher`: the tokens of a model, and which of them are allowed next.
//! - `number_limit`: limits on numbers.
//! - `limits`: limits on the size of grammars.

mod compile;
mod compose;
mod error;
mod grammar;
pub(crate) mod limits;
mod matcher;
mod number_limit;
pub(crate) mod schema;
mod vocabulary;

pub(crate) use compile::ignored_keywords;
pub use compile::{Compiler, compile};
pub use error::GrammarError;
pub use grammar::Grammar;
pub use matcher::Matcher;
pub use vocabulary::{TokenText, Vocabulary};

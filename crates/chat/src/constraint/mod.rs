//! Holds a model's answers to a form: JSON, JSON that fulfils a schema, a regular expression, a Lark grammar.
//!
//! A [`Compiler`] belongs to a model. It turns a [`Grammar`] into a [`Matcher`], which is the constraint of a request:
//! before each token it forbids those that would leave the form, and lets the answer end only where the form is whole.
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
//! let mut answer = String::new();
//! for event in engine.submit(request)? {
//!     match event? {
//!         mlxm_engine::Event::Token(token) => answer.push_str(&token.text),
//!         mlxm_engine::Event::Finished(end) => answer.push_str(&end.text),
//!     }
//! }
//! assert!(answer == "\"yes\"" || answer == "\"no\"");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//! An answer that ends by itself is in the language of its grammar. Whatever of a JSON schema cannot be guaranteed is
//! refused by name before anything is generated, as is a schema that nothing fulfils. Some freedom that a schema leaves
//! is not used: there is no white space to speak of, properties keep their order, control characters are not written as
//! `\u0000`, and text in a `format` keeps to what is valid everywhere.
//!
//! # Map
//! - `schema`: what of a JSON schema can be enforced, written so that the parser enforces it.
//! - `lark`: grammars with schemas in them.
//! - `vocabulary`, `matcher`: a model's tokens, and which of them may come next.
//! - `limits`: how much a grammar may ask for.

mod compile;
mod compose;
mod error;
mod grammar;
mod lark;
mod limits;
mod matcher;
mod schema;
mod vocabulary;

pub use compile::{Compiler, compile};
pub use error::GrammarError;
pub use grammar::Grammar;
pub use matcher::Matcher;
pub use vocabulary::{TokenText, Vocabulary};

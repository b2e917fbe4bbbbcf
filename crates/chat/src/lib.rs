//! Chat on top of [`mlxm_engine`]: messages to prompts, generated text to messages.
//!
//! ```
//! use mlxm_chat::ChatModel;
//! use mlxm_chat::template::RenderOptions;
//! use mlxm_engine::{Engine, LoadOptions};
//! use serde_json::json;
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/tests/golden/llama-4bit");
//! let model = ChatModel::from_engine(&Engine::load(folder, &LoadOptions::default())?);
//! let messages = [json!({"role": "user", "content": "What is the capital of France?"})];
//! let options = RenderOptions { add_generation_prompt: true, ..RenderOptions::default() };
//! let template = model.template().map_err(ToString::to_string)?;
//! let prompt = template.apply(&messages, &options, model.engine().tokenizer())?;
//! assert!(!prompt.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! - [`template`]: chat templates (Jinja with Python semantics); messages to prompts.
//! - [`parsing`]: generated text to reasoning, content and tool calls.
//! - [`constraint`]: structured output (JSON schema, regular expression, Lark grammar) as a constraint on sampling.
//!
//! # Invariants
//! - No module here knows HTTP, a wire protocol or an async runtime.
//! - The engine does not depend on this crate: it knows tokens, not messages.

pub mod constraint;
mod model;
pub mod parsing;
pub mod template;

pub use model::{ChatCapabilities, ChatModel};

//! Conversations to prompts: renders the chat templates of Hugging Face checkpoints to the same text as `transformers`.
//!
//! Templates are written for Jinja in Python, with Python values. minijinja is the interpreter; what it does not share
//! with Python (how values print, the methods of strings and dicts, slices, `json.dumps`) is supplied here. Templates
//! come from strangers: they see plain data, and can neither change it nor reach anything else.

mod chat_template;
mod environment;
mod error;
mod filters;
mod loading;
mod messages;
mod python;
mod source;

pub use chat_template::{ChatTemplate, RenderOptions};
pub use error::TemplateError;

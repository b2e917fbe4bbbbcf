//! Chat templates: renders those of Hugging Face checkpoints to the same text as `transformers`.
//!
//! Templates are written for Jinja in Python. minijinja is the interpreter; this module adds the semantics of Python that it
//! lacks (string conversion, methods of strings and dicts, slices, `json.dumps`). Templates are untrusted: they have read-only
//! access to plain data and to nothing else.

mod builtin_filters;
mod chat_template;
mod environment;
mod error;
mod filters;
mod loading;
mod messages;
mod profile;
mod python;
mod source;

pub use chat_template::{ChatTemplate, RenderOptions};
pub use error::TemplateError;
pub(crate) use messages::{REASONING_FIELDS, to_parts};
pub use profile::{ArgumentForm, CallContent, CallForm, CallIds, ContentForm, TemplateProfile};

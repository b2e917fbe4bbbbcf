//! Chat on top of [`mlxm_engine`]: messages to prompts, generated text to messages.
//!
//! ```
//! use mlxm_chat::{ChatModel, ChatRequest, GenerationParams};
//! use mlxm_engine::LoadOptions;
//! use serde_json::json;
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/tests/golden/llama-4bit");
//! let model = ChatModel::load(folder, &LoadOptions::default())?;
//! let request = ChatRequest {
//!     messages: vec![json!({"role": "user", "content": "What is the capital of France?"})],
//!     params: GenerationParams { max_tokens: Some(16), ..GenerationParams::default() },
//!     ..ChatRequest::default()
//! };
//! let completion = model.generate(&request)?.collect_completion()?;
//! println!("{} {:?}", completion.content, completion.tool_calls);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! - [`template`]: chat templates (Jinja with Python semantics); messages to prompts.
//! - [`render_conversation`]: conversations in the form that a template can render.
//! - [`parsing`]: generated text to reasoning, content and tool calls.
//! - [`ChatModel`]: a request to a prompt, a constraint and a stream of parsed chunks.
//! - [`PromptRenderer`]: the same prompts from the files of a checkpoint, without an engine.
//! - `output_limits`: stop strings in the content and limits on tool calls.
//! - [`constraint`]: structured output (JSON schema, regular expression, Lark grammar) as a constraint on sampling.
//! - [`integers`]: integers beyond 64 bits in arguments of calls and schemas of tools.
//! - `lark`: building and checking Lark grammars.
//!
//! # Invariants
//! - No module here knows HTTP, a wire protocol or an async runtime.
//! - The engine does not depend on this crate: it knows tokens, not messages.

pub mod constraint;
mod conversation;
mod error;
pub mod integers;
mod lark;
mod model;
mod output_limits;
pub mod parsing;
mod prompt;
mod request;
mod response_constraint;
mod stream;
pub mod template;
mod thinking_budget;

pub use conversation::{ConversationOptions, RenderedConversation, render_conversation};
pub use error::ChatError;
pub use model::{ChatCapabilities, ChatModel, ChatOptions, FormatOverride, PreparedChat, Prompt};
pub use prompt::PromptRenderer;
pub use request::{ChatRequest, GenerationParams, ResponseFormat, ToolChoice};
pub use stream::{ChatChunk, ChatCompletion, ChatPoll, ChatStream, Finish, ToolCall};

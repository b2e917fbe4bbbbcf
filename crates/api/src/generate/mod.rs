//! Completions over HTTP: [`mlxm_chat`] prepares requests and parses output; this module adds deadlines, metrics and the count
//! of requests in flight.

mod completion;
mod start;

pub use completion::{Completion, collect_all, merge};
pub use mlxm_chat::{
    ChatChunk, ChatCompletion, ChatRequest, Finish, GenerationParams, ResponseFormat, ToolChoice,
};
pub use start::start;

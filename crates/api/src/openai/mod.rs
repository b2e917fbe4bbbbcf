//! OpenAI's protocol.

pub mod chat;
pub mod completions;
pub mod embeddings;
mod logprobs;
mod messages;
pub mod models;
mod shared;
mod stream;
pub mod tokens;
pub mod tools;

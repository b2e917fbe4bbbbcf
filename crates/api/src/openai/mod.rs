//! OpenAI's APIs: chat completions, completions, embeddings, models, and the tokenizer routes.

mod calls;
pub mod chat;
pub mod completions;
pub mod custom_tools;
pub mod embeddings;
pub mod logprobs;
pub mod messages;
pub mod models;
pub mod options;
pub mod shared;
mod stream;
pub mod tokens;
pub mod tools;

//! Anthropic's Messages API.

mod conversation;
pub mod messages;
mod stream;
mod tools;

//! Anthropic's Messages API.

pub mod conversation;
pub mod messages;
mod stream;
mod tools;

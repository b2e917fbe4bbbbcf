//! Anthropic's Messages API.

mod blocks;
pub mod conversation;
pub mod messages;
mod stream;
mod tools;

//! Anthropic's protocol.

mod conversation;
pub mod messages;
mod stream;

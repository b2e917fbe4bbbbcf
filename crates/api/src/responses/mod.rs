//! OpenAI's Responses API.
//!
//! An input of items becomes the messages of a chat, and the answer becomes items again. Stored responses can be read, and
//! continued by their id.

mod conversation;
pub mod create;
mod items;
mod object;
mod output;
pub mod request;
pub mod store;
pub mod stored;
mod stream;
mod tools;

//! OpenAI's Responses API.
//!
//! Input items are converted to chat messages, and the completion to output items. Stored responses can be retrieved, and
//! continued with `previous_response_id`.

mod client_tools;
pub mod conversation;
pub mod create;
mod items;
mod object;
mod output;
pub mod request;
pub mod store;
pub mod stored;
mod stream;
mod tools;

//! Events for web pages and commands: what has changed, without polling.
//!
//! - `bus`: publishing and reading. `topics`: names of topics, and how each event is treated.
//! - `stream`: `GET /api/events`. `logs`: logs of servers, also by themselves.
//! - `sources`: servers and models. `samples`: what servers and the machine use. `requests`: requests that have not ended.
//! - `history`: the latest events of each topic, to resume from. `mailbox`: what waits for a reader, and what a slow one loses.

mod bus;
mod history;
pub mod logs;
mod mailbox;
mod requests;
mod samples;
mod sources;
pub(in crate::gateway) mod stream;
mod topics;

pub use bus::{Bus, Message, Reader};
pub use history::EventId;
pub use requests::publish_requests;
pub use samples::publish_samples;
pub use sources::{publish_models, publish_servers};
pub use stream::routes;
pub use topics::{TopicName, UnknownTopic, parse_topics};

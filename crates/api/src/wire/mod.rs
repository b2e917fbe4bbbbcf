//! Requests and responses of the management API, which is everything under `/api`.
//!
//! The gateway's handlers and the program's commands use the same types, and the OpenAPI document is generated from them.
//! Every response is JSON; errors are [`Problem`]s. Times are milliseconds since the Unix epoch (UTC), and sizes are bytes.
//! Requests with unknown fields are rejected: a misspelled setting is not ignored.

pub mod aliases;
pub mod attachments;
pub mod audit;
pub mod change;
pub mod chats;
pub mod clients;
pub mod downloads;
pub mod events;
pub mod library;
pub mod logs;
pub mod messages;
pub mod models;
pub mod pool;
pub mod problem;
pub mod profiles;
pub mod requests;
pub mod runs;
pub mod servers;
pub mod settings;
pub mod system;
mod union;

pub use problem::{FieldError, Problem};

//! Tests of the management API over real connections, on a gateway with a database and processes of its own.

#![expect(clippy::unwrap_used, reason = "panics fail the test")]

mod aliases;
mod audit;
mod chats;
mod clients;
mod documentation;
mod events;
mod history;
mod models;
mod page;
mod player;
mod profiles;
mod reproductions;
mod requests;
mod run_ends;
mod run_protocols;
mod run_readers;
mod run_requests;
mod runs;
mod security;
mod servers;
mod setting_effects;
mod settings;
mod support;
mod system;
#[path = "../common/wait.rs"]
mod wait;
mod worker;

//! Tests of the HTTP API over real connections, with tiny checkpoints.

#![expect(clippy::unwrap_used, clippy::panic, reason = "panics fail the test")]

mod cancellation;
mod chat;
mod chat_tools;
mod completions;
mod concurrency;
mod cors;
mod echo;
mod failures;
mod hints;
mod histories;
mod integers;
mod invalid_requests;
mod limits;
mod messages;
mod metrics;
mod origin;
mod owner;
mod prefix_cache;
mod profiles;
mod progress;
mod request_forms;
mod responses;
mod stepper;
mod stored_responses;
mod structured_output;
mod support;
mod usage;
#[path = "../common/wait.rs"]
mod wait;

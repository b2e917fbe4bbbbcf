//! The API over real connections, in front of the engine's committed checkpoints.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod cancellation;
mod chat;
mod completions;
mod concurrency;
mod failures;
mod invalid_requests;
mod limits;
mod messages;
mod metrics;
mod prefix_cache;
mod responses;
mod stepper;
mod stored_responses;
mod structured_output;
mod support;

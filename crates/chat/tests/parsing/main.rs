//! Parsing of reasoning and tool calls.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;
mod delimiters;
mod examples;
mod forced_calls;
mod grammar;
mod reasoning;
mod recorded;
mod rendering;
mod repairs;
mod round_trip;

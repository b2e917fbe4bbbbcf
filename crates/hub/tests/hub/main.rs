//! Integration tests against a local test hub with fault injection.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

mod access;
mod config;
mod disk;
mod faults;
mod links;
mod local;
mod processes;
mod pull;
mod random_faults;
mod support;

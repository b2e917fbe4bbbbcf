//! The hub crate against a hub on this machine that speaks the protocol and fails on demand.

#![expect(
    clippy::unwrap_used,
    reason = "a test helper that fails fails its test"
)]

mod access;
mod config;
mod disk;
mod faults;
mod local;
mod processes;
mod pull;
mod random_faults;
mod support;

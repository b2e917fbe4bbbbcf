//! End-to-end tests of the binary: real processes, small checkpoints and pseudo-terminals.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod bad_input;
mod chat;
mod convert;
mod gateway;
mod help;
mod local_models;
mod measure;
mod pull;
mod remote;
mod remote_bench;
mod remote_serve;
mod run;
mod serve;
mod starter;
mod support;
mod traces;

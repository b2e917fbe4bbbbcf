//! End-to-end tests of the binary: real processes, small checkpoints and pseudo-terminals.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod bad_input;
mod browser;
mod chat;
mod completion;
mod convert;
mod database;
mod fake_gateway;
mod gateway;
mod gateway_access;
mod gateway_chat_runs;
mod gateway_config;
mod gateway_downloads;
mod gateway_failures;
mod gateway_logs;
mod gateway_models;
mod gateway_process;
mod gateway_profiles;
mod gateway_serve;
mod help;
mod launch;
mod launch_undo;
mod local_models;
mod measure;
mod models_document;
mod no_gateway;
mod pull;
mod remote;
mod remote_bench;
mod remote_serve;
mod run;
mod serve;
mod starter;
mod support;
mod traces;

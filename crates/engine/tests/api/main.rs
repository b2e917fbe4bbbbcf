//! Tests of the engine's public API with the committed checkpoints.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod architectures;
mod checkpoint;
mod configuration;
mod constraint;
mod counting;
mod dispatches;
mod failures;
mod generation;
mod kv_pool;
mod kv_types;
mod loading;
mod progress;
mod stop_strings;
mod support;
mod threads;
mod weight_files;

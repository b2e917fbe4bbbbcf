//! Bounded fuzzing of everything that is read from a checkpoint or a hub.
//!
//! A [`Target`] is a function that parses bytes as the program does. A [`Runner`] feeds it mutated examples. A case fails if it
//! panics, takes more memory than twice its input and 64 MiB, or does not end. Cases are numbered and deterministic: the same
//! number gives the same input.
//!
//! The tests run some thousands of cases per target; `cargo xtask fuzz` runs more. It is a crate of its own because the targets
//! depend on most of the workspace, which xtask and the test hub must not.
//!
//! # Adding a target
//! A file in `targets/` with its examples, its mutator and its function, listed in [`TARGETS`], and a line in `tests/fuzz.rs`.

mod allocator;
mod mutate;
mod run;
mod targets;

pub use allocator::TrackingAllocator;
pub use run::{Failure, Runner};
pub use targets::{TARGETS, Target};

//! Running a model: its caches, the input of a step, the thread that owns both, and the handle callers hold.

mod admission;
mod counters;
mod engine;
mod generation;
mod loading;
mod mailbox;
mod memory;

mod scoring;
mod seqlock;
mod sequence;
#[cfg(test)]
mod tests;
mod worker;

pub use counters::{CacheGroupStats, Counters, EngineStats};
pub use engine::Engine;
pub use generation::{Generation, Poll};
pub use loading::inspect;
pub use memory::{MemoryPlan, peak_resident_bytes};

//! Running a model: the memory plan, the worker thread that owns the model and its cache, and the handle that callers hold.

mod admission;
mod default_sampling;
mod engine;
mod generation;
mod loading;
mod machine_memory;
mod mailbox;
mod memory;
mod scoring;
mod sequence;
mod stats;
mod step_limit;
#[cfg(test)]
mod tests;
mod worker;

pub use engine::Engine;
pub use generation::{Generation, Poll};
pub use loading::inspect;
pub use machine_memory::{MachineMemory, peak_resident_bytes};
pub use memory::{CacheSize, MemoryPlan};
pub use scoring::Scoring;
pub use stats::{CacheGroupStats, Counters, EngineStats};

//! Running a model: the memory plan, the worker thread that owns the model and its cache, and the handle that callers hold.

mod admission;
mod default_sampling;
mod device;
mod engine;
mod generation;
mod gpu_memory;
mod loading;
mod machine_memory;
mod mailbox;
mod memory;
mod prepared;
mod scoring;
mod sequence;
mod stats;
mod step_limit;
#[cfg(test)]
mod tests;
mod warm_up;
mod worker;

pub use device::{ComputeDevice, compute_device};
pub use engine::Engine;
pub use generation::{Generation, Poll};
pub use loading::inspect;
pub use machine_memory::{MachineMemory, peak_resident_bytes};
pub use memory::{CacheSize, MemoryPlan};
pub use scoring::Scoring;
pub use stats::{CacheGroupStats, Counters, EngineStats};

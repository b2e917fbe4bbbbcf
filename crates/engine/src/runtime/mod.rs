//! Running a model: its caches, the input of a step, the thread that owns both, and the handle callers hold.

mod cache;
mod counters;
mod engine;
mod generation;
mod input;
mod mailbox;
mod memory;
mod sequence;
mod worker;

pub use cache::{CacheLayer, CachePool};
pub use counters::Counters;
pub use engine::{Engine, inspect};
pub use generation::{Generation, Poll};
pub use input::{GroupInput, ModelInput, Span, Step};
pub use memory::{CacheGroupPlan, MemoryPlan, peak_resident_bytes};

//! The pool of workers: which models are loaded, for whom, and in how much memory.

pub mod estimate;
pub mod lease;
pub mod owner;
pub mod plan;
mod task;

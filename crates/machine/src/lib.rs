//! The limits of this machine and of this process: memory, CPUs, caches and instruction sets, each with its source.
//!
//! ```
//! use mlxm_machine::{CpuLimits, MemoryLimits};
//!
//! for limit in MemoryLimits::read().limits() {
//!     println!("{}: {} bytes ({})", limit.name, limit.bytes, limit.source);
//! }
//! println!("{} compute threads", CpuLimits::read().threads());
//! ```
//!
//! # Invariants
//! - On Linux, everything is read from files below a root directory, by default `/`, so that tests can use made-up trees.
//! - Control groups are those of this process, in version 1, version 2 or both, with every visible ancestor.
//! - Nothing is cached and nothing is changed.

mod cgroup;
mod cpu;
mod files;
mod hardware;
#[cfg(target_os = "macos")]
mod macos;
mod memory;

pub use cpu::{CpuLimits, CpuQuota};
pub use hardware::{Cache, caches, caches_under, instruction_sets};
pub use memory::{MemoryLimit, MemoryLimits};

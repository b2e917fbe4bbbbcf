//! The limits of this machine and of this process: memory, CPUs, caches and instruction sets, each with its source. Also which
//! process listens on a port, and whether memory is short.
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
mod ports;
mod pressure;

pub use cpu::{CpuLimits, CpuQuota};
pub use hardware::{Cache, caches, caches_under, instruction_sets};
pub use memory::{MemoryLimit, MemoryLimits};
pub use ports::{PortHolder, port_holder, port_holder_under};
pub use pressure::{MemoryPressure, PressureLevel};

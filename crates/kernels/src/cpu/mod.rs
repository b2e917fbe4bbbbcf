//! The CPU implementation of the operations.

#![expect(
    clippy::inline_always,
    reason = "generic vector code must be inlined into the function that enables its instructions"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "loops over a constant number of registers are clearer by index, and unrolled"
)]
#![expect(
    clippy::cast_ptr_alignment,
    reason = "every load and store of a vector tolerates any alignment"
)]

pub(crate) mod attention;
pub(crate) mod each_row;
pub(crate) mod elementwise;
pub(crate) mod epilogue;
mod format;
pub(crate) mod fused_linear;
pub(crate) mod kv_write;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod layout;
pub(crate) mod linear;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod norm;
mod prefetch;
pub(crate) mod repack;
pub(crate) mod rope;
mod shared;
pub(crate) mod simd;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use mlxm_machine::CpuLimits;
use repack::{Arena, Int8DotLevel};
use simd::SimdLevel;

use crate::thread_pool::ThreadPool;

/// Threads and instruction set.
#[derive(Debug)]
pub(crate) struct Cpu {
    pool: ThreadPool,
    /// Instruction set for float arithmetic.
    level: SimdLevel,
    /// Instruction set for integer dot products.
    dots: Int8DotLevel,
    /// Memory of repacked weights.
    arena: Arena,
}

impl Cpu {
    /// `threads` defaults to [`CpuLimits::threads`].
    pub fn new(threads: Option<usize>) -> Self {
        Self {
            pool: ThreadPool::new(
                threads
                    .unwrap_or_else(|| CpuLimits::read().threads())
                    .max(1),
            ),
            level: SimdLevel::detect(),
            dots: Int8DotLevel::detect(),
            arena: Arena::default(),
        }
    }

    pub fn level(&self) -> SimdLevel {
        self.level
    }

    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Replaces the pool: no loop can be running, because every loop borrows it.
    pub fn set_threads(&mut self, threads: usize) {
        let threads = threads.max(1);
        if threads != self.pool.threads() {
            self.pool = ThreadPool::new(threads);
        }
    }

    pub fn spawn_background(&self, task: Box<dyn FnOnce() + Send>) {
        self.pool.spawn_background(task);
    }
}

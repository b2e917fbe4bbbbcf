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
pub(crate) mod elementwise;
pub(crate) mod epilogue;
mod format;
pub(crate) mod fused_linear;
pub(crate) mod kv_cache;
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
mod run;
pub(crate) mod simd;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use mlxm_machine::CpuLimits;
use repack::{Arena, Int8DotLevel, RepackedWeight};
use simd::SimdLevel;

use crate::{
    ActivationDtype, CpuOptions, KernelError, Weight, thread_pool::ThreadPool, weight::Storage,
};

/// Threads and instruction set.
#[derive(Debug)]
pub(crate) struct Cpu {
    pool: ThreadPool,
    activation_dtype: ActivationDtype,
    /// Instruction set for float arithmetic.
    level: SimdLevel,
    /// Instruction set for integer dot products.
    dots: Int8DotLevel,
    /// Memory of repacked weights.
    arena: Arena,
}

impl Cpu {
    /// The number of threads defaults to [`CpuLimits::threads`].
    pub fn new(options: CpuOptions) -> Self {
        let threads = options.threads;
        Self {
            pool: ThreadPool::new(
                threads
                    .unwrap_or_else(|| CpuLimits::read().threads())
                    .max(1),
            ),
            activation_dtype: options.activation_dtype,
            level: SimdLevel::detect(),
            dots: Int8DotLevel::detect(),
            arena: Arena::default(),
        }
    }

    pub fn level(&self) -> SimdLevel {
        self.level
    }

    pub fn activation_dtype(&self) -> ActivationDtype {
        self.activation_dtype
    }

    pub fn thread_pool(&self) -> &ThreadPool {
        &self.pool
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

    /// Repacks a quantized weight into the layout of the int8 kernels. Returns the weight unchanged if it is dense, if
    /// activations are f32, or if its format has no int8 kernel.
    pub fn repack(&self, weight: Weight) -> Result<Weight, KernelError> {
        let Storage::Quantized(quantized) = weight.storage() else {
            return Ok(weight);
        };
        if self.activation_dtype == ActivationDtype::F32 {
            return Ok(weight);
        }
        let repacked = RepackedWeight::pack(self, quantized, weight.rows(), weight.cols())?;
        Ok(match repacked {
            Some(repacked) => {
                weight.release();
                weight.with_repacked(repacked)
            }
            None => weight,
        })
    }

    pub fn promote_huge_pages(&self, done: impl FnOnce() + Send + 'static) {
        self.arena.promote_huge_pages(done);
    }
}

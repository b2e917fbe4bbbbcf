//! The operations on the processor.

pub(crate) mod attention;
mod cores;
pub(crate) mod elementwise;
mod format;
pub(crate) mod linear;
mod math;
pub(crate) mod norm;
mod pool;
pub(crate) mod rope;
mod shared;
mod simd;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use pool::Pool;
use simd::Level;

/// Threads and instruction set.
#[derive(Debug)]
pub(crate) struct Cpu {
    pool: Pool,
    level: Level,
}

impl Cpu {
    /// `threads` defaults to one per physical core.
    pub fn new(threads: Option<usize>) -> Self {
        Self {
            pool: Pool::new(threads.unwrap_or_else(cores::physical).max(1)),
            level: Level::detect(),
        }
    }

    pub fn threads(&self) -> usize {
        self.pool.threads()
    }
}

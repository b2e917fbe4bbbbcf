//! One launch of a kernel.

use super::{BufferId, Kernel};

/// Bytes of memory that a device knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferRange {
    /// The memory.
    pub buffer: BufferId,
    /// The first byte.
    pub offset: usize,
    /// Number of bytes.
    pub bytes: usize,
}

/// What a kernel does with a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Never written while the backend exists: weights and parameters.
    Constant,
    /// Reads.
    Read,
    /// Writes, or reads and writes.
    Write,
}

/// Memory bound to an argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The index in `[[buffer(index)]]`, from 1: buffer 0 has the arguments.
    pub index: u32,
    /// The memory. The kernel accesses nothing outside it.
    pub range: BufferRange,
    /// For barriers.
    pub access: Access,
}

impl Binding {
    /// Memory that the kernel reads.
    pub fn read(index: u32, range: BufferRange) -> Self {
        let access = Access::Read;
        Self {
            index,
            range,
            access,
        }
    }

    /// Memory that the kernel writes, or reads and writes.
    pub fn write(index: u32, range: BufferRange) -> Self {
        let access = Access::Write;
        Self {
            index,
            range,
            access,
        }
    }

    /// Memory that is never written.
    pub fn constant(index: u32, range: BufferRange) -> Self {
        let access = Access::Constant;
        Self {
            index,
            range,
            access,
        }
    }
}

/// A launch of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// What runs.
    pub kernel: Kernel,
    /// The bytes of the argument structure, `[[buffer(0)]]` in constant memory: at most 4096, a multiple of 4.
    pub arguments: Vec<u8>,
    /// Memory, by ascending index.
    pub bindings: Vec<Binding>,
    /// Threadgroups in x, y, z.
    pub threadgroups: [usize; 3],
    /// Threads of a threadgroup, a multiple of 32.
    pub threads: usize,
}

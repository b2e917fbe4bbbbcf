//! What a kernel call can be refused for.

use crate::weight::WeightError;

/// Why an operation was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Two operands do not fit each other.
    #[error("{op}: {left} does not fit {right}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// One operand and its shape.
        left: String,
        /// What it had to fit.
        right: String,
    },
    /// An index is outside of what it points into.
    #[error("{op}: {what} {index} is outside of 0..{end}")]
    Index {
        /// The operation.
        op: &'static str,
        /// What the index counts.
        what: &'static str,
        /// The index.
        index: usize,
        /// One past the last valid index.
        end: usize,
    },
    /// An activation is not a contiguous f32 tensor of rank 2 in main memory.
    #[error("{op}: activations are contiguous F32 [rows, width] on the CPU, found {found}")]
    Activation {
        /// The operation.
        op: &'static str,
        /// What the tensor is instead.
        found: String,
    },
    /// A weight's rearranged copy does not fit into memory.
    #[error("a weight of {size_bytes} bytes cannot be rearranged: {reason}")]
    WeightMemory {
        /// Bytes asked for.
        size_bytes: usize,
        /// What the system said.
        reason: String,
    },
    /// A cache does not fit into the address space or memory.
    #[error("a cache of {size_bytes} bytes cannot be reserved: {reason}")]
    CacheMemory {
        /// Bytes asked for.
        size_bytes: u128,
        /// What the operating system said.
        reason: String,
    },
    /// A weight is malformed.
    #[error(transparent)]
    Weight(#[from] WeightError),
    /// candle could not make or read a tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

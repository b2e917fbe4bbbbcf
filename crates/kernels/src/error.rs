//! Errors of kernel calls.

use crate::WeightError;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The shapes of two operands do not match.
    #[error("{op}: {left} does not match {right}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// One operand and its shape.
        left: String,
        /// The other operand and its shape.
        right: String,
    },
    /// An index is out of range.
    #[error("{op}: {what} {index} is out of range 0..{end}")]
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
    #[error("{op}: activations must be contiguous F32 [rows, width] on the CPU, found {found}")]
    Activation {
        /// The operation.
        op: &'static str,
        /// The shape, type, strides or device found instead.
        found: String,
    },
    /// A handle does not belong to the call.
    #[error("{op}: {problem}")]
    Handle {
        /// The operation.
        op: &'static str,
        /// What the handle is.
        problem: &'static str,
    },
    /// The backend computes no values.
    #[error("{op}: a counting backend computes no values")]
    NoValues {
        /// The operation.
        op: &'static str,
    },
    /// The memory for activations cannot be allocated.
    #[error("cannot allocate {size_bytes} bytes for activations: {reason}")]
    ActivationMemory {
        /// Bytes requested.
        size_bytes: usize,
        /// The error of the operating system.
        reason: String,
    },
    /// Memory of a device cannot be allocated.
    #[error("cannot allocate {size_bytes} bytes of device memory: {reason}")]
    DeviceMemory {
        /// Bytes requested.
        size_bytes: usize,
        /// The error of the operating system or the device.
        reason: String,
    },
    /// A device could not compile a kernel or run an operation.
    #[error("{op}: the device failed: {reason}")]
    Device {
        /// The operation.
        op: &'static str,
        /// What the device reports.
        reason: String,
    },
    /// The memory for a repacked weight cannot be allocated.
    #[error("cannot allocate {size_bytes} bytes for a repacked weight: {reason}")]
    WeightMemory {
        /// Bytes requested.
        size_bytes: usize,
        /// The error of the operating system.
        reason: String,
    },
    /// The memory for a KV cache cannot be reserved.
    #[error("cannot reserve {size_bytes} bytes for a KV cache: {reason}")]
    CacheMemory {
        /// Bytes requested.
        size_bytes: u128,
        /// The error of the operating system.
        reason: String,
    },
    /// A weight is malformed.
    #[error(transparent)]
    Weight(#[from] WeightError),
    /// candle failed to create or read a tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

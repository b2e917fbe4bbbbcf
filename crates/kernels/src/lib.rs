//! The operations that candle lacks: quantized linear layers, paged attention, and the small fused operations between
//! them. Activations are f32; keys and values are stored as [`KvCacheDtype`] says.
//!
//! [`Kernels`] is a device: a model does not depend on which one, nor on the quantization. A forward pass is a
//! [`Pass`], whose methods are the operations. Activations are [`Rows`], which the device has wherever it likes;
//! parameters are [`Weight`] and [`Param`]. A weight keeps the memory-mapped, packed layout of the checkpoint until
//! [`Kernels::repack`] rearranges it for the device. Programs that use candle exchange tensors by
//! [`Kernels::upload_tensor`] and [`Kernels::read_tensor`].
//!
//! ```
//! use mlxm_kernels::{Bytes, CpuOptions, FloatType, Kernels, Linear, Weight};
//!
//! let kernels = Kernels::cpu(CpuOptions::default());
//! let values = [1.0_f32, 2.0, 3.0, 4.0].into_iter().flat_map(f32::to_le_bytes).collect();
//! let weight = Weight::dense(2, 2, FloatType::F32, Bytes::owned(values))?;
//! let linear = Linear { weight: kernels.repack(weight)?, bias: None };
//! let x = kernels.upload(&[1.0, 10.0], 2)?;
//! let mut pass = kernels.begin();
//! let y = pass.linear(&x, None, &[&linear])?;
//! pass.finish()?;
//! assert_eq!(kernels.read(&y)?, [21.0, 43.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//! - Results are batch-invariant: a row's result is bitwise the same for every number of rows in the call, every
//!   position of the row among them, and every chunking of the prompt.
//! - [`mod@reference`] is the specification. Faster implementations are tested against it.
//! - A weight is never dequantized as a whole.
//! - Mismatched shapes are errors that name the operation and both shapes.
//! - Activations are in an arena: a pass that is like an earlier one has them in the same places.
//!
//! # Adding a device
//! A backend is a variant of `Backend` and of `Encoder` in `backend/mod.rs`, and of the memory of activations
//! (`rows/arena.rs`) and of a [`KvCache`] (`kv/cache.rs`). Its encoder gets the operations of `op.rs`, whose operands have
//! been checked. `cpu` and `metal` are examples: one runs operations, the other plans dispatches of kernels.
//!
//! A device that runs the kernels of `metal/` needs no backend: it implements [`metal::Device`], and
//! [`Kernels::on_device`] uses it. [`metal::SelfTest`] compares it with the CPU.

mod activation;
mod backend;
mod bytes;
mod counting;
mod cpu;
mod error;
mod hazards;
mod kernels;
mod kv;
mod linear;
pub mod metal;
mod norm;
mod op;
mod param;
pub mod quant;
pub mod quantize;
pub mod reference;
mod rows;
mod shared;
mod thread_pool;
mod weight;

pub use activation::{Activation, QueryScaling, Rope, Xielu};
pub use bytes::{Bytes, Element, Typed};
pub use counting::{OpCounts, PassCounts};
pub use error::KernelError;
pub use kernels::{
    ActivationDtype, CpuOptions, Indices, Kernels, Pass, Pending, RopeCosSin, Slots, Spans,
};
pub use kv::{AttentionSpec, KvCache, KvCacheDtype, KvShape, KvSpan, Mask};
pub use linear::{GateUp, Linear};
pub use norm::{Norm, QkNorms};
pub use param::Param;
pub use quant::{FloatType, QuantError, QuantMode, QuantSpec, ScaleType};
pub use rows::Rows;
pub use weight::{Weight, WeightError};

//! The operations that candle lacks: quantized matrix products, paged attention, and the small fused operations
//! between them. Activations are f32; keys and values are stored as a [`KvCacheDtype`] says.
//!
//! [`Kernels`] is the one dispatch object: a model calls its methods and never asks about device or quantization.
//! Activations are candle tensors, f32, contiguous, `[rows, width]`. Weights are [`Weight`] and [`Param`]. A matrix is in
//! the memory-mapped, packed form of the checkpoint until [`Kernels::repack`] rearranges it for products with int8
//! activations, which [`ActivationDtype::Int8`] asks for.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use mlxm_kernels::{Bytes, CpuOptions, FloatType, Kernels, Linear, Weight};
//!
//! let kernels = Kernels::cpu(CpuOptions::default());
//! let values = [1.0_f32, 2.0, 3.0, 4.0].into_iter().flat_map(f32::to_le_bytes).collect();
//! let weight = Weight::dense(2, 2, FloatType::F32, Bytes::owned(values))?;
//! let linear = Linear { weight: kernels.repack(weight)?, bias: None };
//! let x = Tensor::from_vec(vec![1.0_f32, 10.0], (1, 2), &Device::Cpu)?;
//! assert_eq!(kernels.linear(&x, None, &[&linear])?.to_vec2::<f32>()?, [[21.0, 43.0]]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//! - A row's result is bitwise the same however many rows the call has, wherever the row stands among them, and
//!   however the prompt was cut into calls.
//! - [`mod@reference`] is the specification. A faster implementation is tested against it.
//! - A weight is never widened as a whole.
//! - Shapes that do not fit are errors that name the operation and both shapes.
//!
//! # Where a device goes
//! A `metal` module beside `cpu`, built with the feature `metal`, will hold the kernels of Apple's GPU behind the
//! same methods. Until it exists there is no constructor for it: [`Kernels::cpu`] is the only one, and a
//! tensor on another device is refused with [`KernelError::Activation`].

mod activation;
mod bytes;
mod checks;
mod cpu;
mod error;
mod kernels;
mod kv;
mod linear;
mod norm;
mod operand;
pub mod quant;
pub mod quantize;
pub mod reference;
mod weight;

pub use activation::{Activation, Rope, RopeCosSin};
pub use bytes::{Bytes, Element, Typed};
pub use error::KernelError;
pub use kernels::{ActivationDtype, CpuOptions, GateUp, Kernels};
pub use kv::{AttentionSpec, KvCache, KvCacheDtype, KvShape, KvSpan, Mask};
pub use linear::Linear;
pub use norm::{Norm, QkNorms};
pub use quant::{FloatType, QuantError, QuantMode, QuantSpec, ScaleType};
pub use weight::{Param, Weight, WeightError};

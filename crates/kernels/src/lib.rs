//! The operations that candle lacks: quantized linear layers, paged attention, and the small fused operations between
//! them. Activations are f32; keys and values are stored as [`KvCacheDtype`] says.
//!
//! [`Kernels`] is the only dispatch object: a model calls its methods and does not depend on the device or the
//! quantization. Activations are contiguous f32 candle tensors, `[rows, width]`. Parameters are [`Weight`] and
//! [`Param`]. A weight keeps the memory-mapped, packed layout of the checkpoint until [`Kernels::repack`] rearranges
//! it for the int8 kernels that [`ActivationDtype::Int8`] uses.
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
//! - Results are batch-invariant: a row's result is bitwise the same for every number of rows in the call, every
//!   position of the row among them, and every chunking of the prompt.
//! - [`mod@reference`] is the specification. Faster implementations are tested against it.
//! - A weight is never dequantized as a whole.
//! - Mismatched shapes are errors that name the operation and both shapes.
//!
//! # Adding a device
//! A `metal` module next to `cpu`, enabled by the feature `metal`, will hold the kernels for Apple GPUs with the same
//! methods. Until then [`Kernels::cpu`] is the only constructor, and a tensor on another device is rejected with
//! [`KernelError::Activation`].

mod activation;
mod bytes;
mod cpu;
mod error;
mod kernels;
mod kv;
mod linear;
mod norm;
mod operand;
mod param;
pub mod quant;
pub mod quantize;
pub mod reference;
mod thread_pool;
mod weight;

pub use activation::{Activation, Rope, RopeCosSin};
pub use bytes::{Bytes, Element, Typed};
pub use error::KernelError;
pub use kernels::{ActivationDtype, CpuOptions, Kernels};
pub use kv::{AttentionSpec, KvCache, KvCacheDtype, KvShape, KvSpan, Mask};
pub use linear::{GateUp, Linear};
pub use norm::{Norm, QkNorms};
pub use param::Param;
pub use quant::{FloatType, QuantError, QuantMode, QuantSpec, ScaleType};
pub use weight::{Weight, WeightError};

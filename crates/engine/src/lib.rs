//! Loads a checkpoint in MLX format and generates tokens with it.
//!
//! [`Engine::load`] reads the folder of a checkpoint, plans its memory and starts a worker thread that owns the model and its
//! cache. [`Engine::submit`] sends a [`Request`] to that thread and returns a [`Generation`], which is both a blocking iterator
//! and an async stream of events. Dropping it cancels the request. Concurrent requests share forward passes (continuous
//! batching).
//!
//! ```
//! use mlxm_engine::{Engine, Event, LoadOptions, Request};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
//! let engine = Engine::load(folder, &LoadOptions::default())?;
//! let prompt = engine.tokenizer().encode("The capital of France is", true)?;
//! for event in engine.submit(Request { prompt, max_tokens: Some(16), ..Request::default() })? {
//!     match event? {
//!         Event::Prefill(_) | Event::Started(_) => {}
//!         Event::Token(token) => print!("{}", token.text),
//!         Event::Finished(end) => println!("{} ({})", end.text, end.reason.as_str()),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//! - [`checkpoint`]: configuration files, memory-mapped tensors, and how each tensor is quantized.
//! - [`models`]: one file per architecture, built from the blocks in [`nn`].
//! - [`forward`]: the model traits, the KV cache and the batch of a step.
//! - [`runtime`]: memory plan, worker thread and the handle to it.
//! - [`sampling`]: logits to tokens. [`text`]: text to tokens and back.
//! - [`json`]: JSON as Python reads it, for the files of a checkpoint.
//!
//! # Invariants
//! - The engine loads from a local path. It reads no environment variables, opens no connections and owns no async runtime.
//! - The cache is an argument of the forward pass. No model owns one.
//! - A model file does not know whether a weight is quantized or on which device it runs.

mod cancel;
pub mod checkpoint;
mod error;
pub mod forward;
mod info;
pub mod json;
pub mod models;
pub mod nn;
mod options;
mod request;
pub mod runtime;
pub mod sampling;
pub mod text;

pub use cancel::CancelToken;
pub use checkpoint::LoadProgress;
pub use error::{GenerationError, LoadError, MissingTensor, RequestError};
pub use forward::CacheGroupPlan;
pub use info::ModelInfo;
pub use mlxm_kernels::{QuantMode, QuantSpec};
pub use mlxm_kvcache::GroupKind;
pub use mlxm_scheduler::Priority;
pub use options::{
    ActivationDtype, BLOCK_SIZE, DEFAULT_MAX_QUEUED_REQUESTS, DeviceChoice, KvCacheDtype,
    LoadOptions,
};
pub use request::{
    Event, FinishReason, Finished, LengthCause, Logits, PrefillProgress, Request, RequestMetrics,
    Started, StopCause, Token,
};
pub use runtime::{
    CacheGroupStats, CacheSize, ComputeDevice, Counters, Engine, EngineStats, Generation,
    MachineMemory, MemoryPlan, Poll, Scoring, compute_device, inspect, peak_resident_bytes,
};

//! Loads an MLX-format checkpoint and turns tokens into tokens.
//!
//! [`Engine::load`] takes the folder of a checkpoint, plans its memory and starts one thread that owns the model and its
//! caches. [`Engine::submit`] hands that thread a [`Request`] and returns a [`Generation`]: an iterator that blocks and
//! an async stream at the same time, cancelled when it is dropped. Requests that overlap share the forward passes.
//!
//! ```
//! use mlxm_engine::{Engine, Event, LoadOptions, Request};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
//! let engine = Engine::load(folder, &LoadOptions::default())?;
//! let prompt = engine.tokenizer().encode("The capital of France is", true)?;
//! for event in engine.submit(Request { prompt, max_tokens: Some(16), ..Request::default() })? {
//!     match event? {
//!         Event::Token(token) => print!("{}", token.text),
//!         Event::Finished(end) => println!("{} ({})", end.text, end.reason.as_str()),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! - [`checkpoint`]: files to named tensors; which are quantized and how.
//! - [`models`]: one file per architecture, built from the blocks of [`nn`].
//! - [`runtime`]: caches, memory plan, the worker thread and the handle to it.
//! - [`sampling`], [`text`]: logits to tokens, tokens to text.
//!
//! # Invariants
//! - The engine takes a local path. It reads no environment, opens no connection, and owns no async runtime.
//! - The cache is an argument of the forward pass. No model owns one.
//! - A model file does not know whether a weight is quantized, nor where it runs.

pub mod checkpoint;
mod error;
pub mod forward;
mod info;
pub mod models;
pub mod nn;
mod options;
mod request;
pub mod runtime;
pub mod sampling;
pub mod text;

pub use error::{GenerationError, LoadError, RequestError};
pub use forward::CacheGroupPlan;
pub use info::ModelInfo;
pub use mlxm_kernels::{QuantMode, QuantSpec};
pub use mlxm_kvcache::GroupKind;
pub use mlxm_scheduler::Priority;
pub use options::{
    ActivationDtype, BLOCK_SIZE, DEFAULT_CONTEXT_LENGTH, DEFAULT_MAX_QUEUED_REQUESTS, DeviceChoice,
    KvCacheDtype, LoadOptions,
};
pub use request::{
    Event, FinishReason, Finished, LengthCause, Logits, Request, RequestMetrics, StopCause, Token,
};
pub use runtime::{
    CacheGroupStats, Counters, Engine, EngineStats, Generation, MemoryPlan, Poll, inspect,
    peak_resident_bytes,
};

//! Options for loading a checkpoint: device, data types, threads, context length and limits.

use std::fmt;
use std::str::FromStr;

pub use mlxm_kernels::{ActivationDtype, KvCacheDtype};

/// Where the model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The GPU on Macs with Apple Silicon, otherwise the CPU. A model that cannot run on the GPU runs on the CPU;
    /// [`Engine::device`](crate::Engine::device) has the reason.
    #[default]
    Auto,
    /// The CPU backend.
    Cpu,
    /// The GPU of a Mac with Apple Silicon. Loading returns an error if it cannot be used.
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "metal" => Ok(Self::Metal),
            other => Err(format!("unknown device `{other}`: use auto, cpu or metal")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Metal => "metal",
        })
    }
}

/// Tokens per cache block, and the granularity of prefix caching.
pub const BLOCK_SIZE: usize = 32;

/// Default of [`LoadOptions::max_queued_requests`].
pub const DEFAULT_MAX_QUEUED_REQUESTS: usize = 256;

/// Options of [`crate::Engine::load`].
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Device to run on.
    pub device: DeviceChoice,
    /// Data type of the activations in matrix multiplications.
    pub activation_dtype: ActivationDtype,
    /// Data type of cached keys and values; see [`LoadOptions::kv_cache_dtype`] for the default.
    pub kv_cache_dtype: Option<KvCacheDtype>,
    /// Threads of the CPU backend. Defaults to the number of physical cores that this process may use, but not more than its CPU
    /// quota.
    pub threads: Option<usize>,
    /// Most tokens of one sequence, prompt and completion together. Defaults to the largest of the model's maximum, 64k, 32k,
    /// 16k and 8k with which the cache of one sequence fits in memory, or less if none does.
    pub context_length: Option<usize>,
    /// Most sequences that run at the same time. Further requests wait in the queue.
    pub max_sequences: usize,
    /// Most requests in the engine in addition to `max_sequences`. Further requests are rejected with
    /// [`RequestError::QueueFull`](crate::RequestError::QueueFull).
    pub max_queued_requests: usize,
    /// Capacity of the KV cache in tokens, for running sequences and cached prefixes together; at least one context. Defaults
    /// to `max_sequences` full contexts, or to as many tokens as fit in memory. With less than full contexts, sequences may
    /// wait for free blocks or be preempted.
    pub kv_pool_tokens: Option<usize>,
    /// Most tokens of one forward pass. Longer prompts are computed in chunks (chunked prefill).
    pub max_batch_tokens: usize,
    /// Memory limit in bytes. Loading returns an error if the memory plan exceeds it. Without a limit, the defaults of
    /// `context_length` and `kv_pool_tokens` fit in [`MachineMemory::model_budget_bytes`](crate::MachineMemory::model_budget_bytes).
    pub memory_bytes: Option<u64>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: DeviceChoice::Auto,
            activation_dtype: ActivationDtype::default(),
            kv_cache_dtype: None,
            threads: None,
            context_length: None,
            max_sequences: 1,
            max_queued_requests: DEFAULT_MAX_QUEUED_REQUESTS,
            kv_pool_tokens: None,
            max_batch_tokens: 512,
            memory_bytes: None,
        }
    }
}

impl LoadOptions {
    /// Data type of cached keys and values. By default f32 with f32 activations and f16 otherwise.
    pub fn kv_cache_dtype(&self) -> KvCacheDtype {
        self.kv_cache_dtype.unwrap_or(match self.activation_dtype {
            ActivationDtype::F32 => KvCacheDtype::F32,
            _ => KvCacheDtype::F16,
        })
    }
}

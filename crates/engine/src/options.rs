//! How a checkpoint is loaded: device, precision, threads, and how much context is planned for.

use std::fmt;
use std::str::FromStr;

pub use mlxm_kernels::{ActivationDtype, KvCacheDtype};

/// Where the model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The best device this build supports.
    #[default]
    Auto,
    /// The CPU backend.
    Cpu,
    /// The Metal backend. Refused where it does not exist yet.
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

/// The longest context planned for when the caller names none. Models declare up to a million positions; a pool for
/// all of them would not fit a 16 GB machine.
pub const DEFAULT_CONTEXT_LENGTH: usize = 8192;

/// Tokens per cache block. Also the granularity of prefix reuse.
pub const BLOCK_SIZE: usize = 32;

/// Requests that may wait when the caller does not say.
pub const DEFAULT_MAX_QUEUED_REQUESTS: usize = 256;

/// Options of [`crate::Engine::load`].
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Where to run.
    pub device: DeviceChoice,
    /// Arithmetic of the matrix multiplications.
    pub activation_dtype: ActivationDtype,
    /// How keys and values are stored; see [`LoadOptions::kv_cache_dtype`] for what is taken when absent.
    pub kv_cache_dtype: Option<KvCacheDtype>,
    /// Threads of the CPU backend; the physical cores when absent.
    pub threads: Option<usize>,
    /// The longest prompt plus answer of one sequence, in tokens. Defaults to the smaller of the model's own limit and
    /// [`DEFAULT_CONTEXT_LENGTH`], shortened further when it does not fit `memory_bytes`.
    pub context_length: Option<usize>,
    /// Sequences that run at the same time; the others wait.
    pub max_sequences: usize,
    /// Requests that may be in the engine beyond `max_sequences`. One more is refused with
    /// [`RequestError::QueueFull`](crate::RequestError::QueueFull).
    pub max_queued_requests: usize,
    /// Tokens that the KV pool holds, over all sequences and what is kept of earlier ones; at least one context. Room for
    /// `max_sequences` full contexts when absent. With less, sequences wait for room or give way to each other.
    pub kv_pool_tokens: Option<usize>,
    /// Most rows of one forward pass: a longer prompt is computed in chunks of this size.
    pub max_batch_tokens: usize,
    /// Memory the whole model may take, in bytes. A plan that needs more is refused before anything is loaded.
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
    /// How keys and values are stored: as asked for, else f32 where the arithmetic is exact.
    pub fn kv_cache_dtype(&self) -> KvCacheDtype {
        self.kv_cache_dtype.unwrap_or(match self.activation_dtype {
            ActivationDtype::F32 => KvCacheDtype::F32,
            _ => KvCacheDtype::F16,
        })
    }
}

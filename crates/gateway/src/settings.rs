//! What defines a worker, and what a request demands of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Settings that are fixed when a model is loaded. Profiles with equal settings share one worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LoadSettings {
    /// Directory of the model.
    pub model: PathBuf,
    /// Context length in tokens; by default the largest of the model's maximum, 64k, 32k, 16k and 8k that fits.
    #[serde(default)]
    pub context_length: Option<u32>,
    /// Maximum number of concurrent sequences, at least 1.
    pub max_sequences: u16,
    /// KV cache size in tokens; by default one context, or two if they fit without evicting another worker.
    #[serde(default)]
    pub kv_pool_tokens: Option<u64>,
    /// `--max-batch-tokens` of the worker.
    #[serde(default)]
    pub max_batch_tokens: Option<u32>,
    /// `--activation-dtype` of the worker.
    #[serde(default)]
    pub activation_dtype: Option<String>,
    /// `--kv-cache-dtype` of the worker.
    #[serde(default)]
    pub kv_cache_dtype: Option<String>,
    /// `--device` of the worker.
    #[serde(default)]
    pub device: Option<String>,
    /// `--threads` of the worker.
    #[serde(default)]
    pub threads: Option<u16>,
    /// `--tool-call-parser` of the worker.
    #[serde(default)]
    pub tool_call_parser: Option<String>,
    /// `--reasoning-parser` of the worker.
    #[serde(default)]
    pub reasoning_parser: Option<String>,
    /// `--log-level` of the worker.
    #[serde(default)]
    pub log_level: Option<String>,
}

impl LoadSettings {
    /// The defaults for a model directory.
    pub fn new(model: impl Into<PathBuf>) -> Self {
        Self {
            model: model.into(),
            context_length: None,
            max_sequences: 16,
            kv_pool_tokens: None,
            max_batch_tokens: None,
            activation_dtype: None,
            kv_cache_dtype: None,
            device: None,
            threads: None,
            tool_call_parser: None,
            reasoning_parser: None,
            log_level: None,
        }
    }

    /// Options of `mlxm show` and `mlxm serve` that determine the memory plan, except the size of the cache.
    pub(crate) fn memory_options(&self) -> Vec<String> {
        let mut options = vec!["--max-sequences".to_owned(), self.max_sequences.to_string()];
        let names = [
            (
                "--max-batch-tokens",
                self.max_batch_tokens.map(|tokens| tokens.to_string()),
            ),
            ("--activation-dtype", self.activation_dtype.clone()),
            ("--kv-cache-dtype", self.kv_cache_dtype.clone()),
            ("--device", self.device.clone()),
        ];
        for (name, value) in names {
            if let Some(value) = value {
                options.extend([name.to_owned(), value]);
            }
        }
        options
    }
}

/// A model to use: its load settings, and what does not define the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name of the model, for messages.
    pub name: String,
    /// What the worker is loaded with.
    pub settings: Arc<LoadSettings>,
    /// How long the worker is kept when idle. That of the last request applies.
    pub ttl: Ttl,
}

/// How long an idle worker is kept. Any idle worker that is not pinned is evicted when its memory is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ttl {
    /// Until its memory is needed.
    Keep,
    /// For this time after its last request; 0 stops it as soon as it is idle.
    After(Duration),
}

impl Default for Ttl {
    /// 30 minutes.
    fn default() -> Self {
        Self::After(Duration::from_mins(30))
    }
}

/// The user of a request. Requests without accounts share one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub Uuid);

/// Order of a user's waiting requests; set on the API key.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A person waits for it.
    Interactive,
    /// The default.
    #[default]
    Normal,
    /// Whenever there is capacity.
    Batch,
}

/// A size of the KV cache that a model can be loaded with, and the memory plan of the whole worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSize {
    /// Context length in tokens.
    pub context_length: u64,
    /// KV cache size in tokens.
    pub kv_pool_tokens: u64,
    /// Weights, KV cache and scratch together.
    #[serde(rename = "total_bytes")]
    pub plan_bytes: u64,
}

/// The memory that a model can be loaded with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryDemand {
    /// Sizes in order of preference; never empty.
    pub sizes: Vec<CacheSize>,
    /// The longest context whose plan fits in the whole budget, in tokens; 0 if none does.
    pub largest_context: u64,
    /// What does not depend on the size of the cache, if it is known.
    pub fixed: Option<FixedMemory>,
}

/// Memory that does not depend on the size of the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct FixedMemory {
    /// The weights, in bytes.
    pub weights_bytes: u64,
    /// Activations and fixed overhead, in bytes.
    pub scratch_bytes: u64,
}

impl FixedMemory {
    /// The rest of a plan: the KV cache, in bytes.
    pub fn kv_pool_bytes(&self, plan_bytes: u64) -> u64 {
        plan_bytes
            .saturating_sub(self.weights_bytes)
            .saturating_sub(self.scratch_bytes)
    }
}

impl MemoryDemand {
    /// Bytes of the smallest size.
    pub fn smallest_bytes(&self) -> u64 {
        let bytes = self.sizes.iter().map(|size| size.plan_bytes);
        bytes.min().unwrap_or(u64::MAX)
    }

    /// The preferred size among those of at most `bytes`.
    pub fn first_fit(&self, bytes: u64) -> Option<CacheSize> {
        self.sizes
            .iter()
            .find(|size| size.plan_bytes <= bytes)
            .copied()
    }
}

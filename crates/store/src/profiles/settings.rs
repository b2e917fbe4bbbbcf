//! The two kinds of settings of a profile, stored as JSON. A missing field is the default of the model or of the worker.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings that define a worker: profiles with the same model and equal load settings share one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadSettings {
    /// Tokens, prompt and completion together; `None` is the longest that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u32>,
    /// Maximum number of concurrent sequences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sequences: Option<u16>,
    /// Size of the KV cache in tokens, shared by all sequences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_pool_tokens: Option<u64>,
    /// Maximum number of tokens per step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch_tokens: Option<u32>,
    /// Data type of the KV cache, as in `--kv-cache-dtype`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_cache_dtype: Option<String>,
    /// Data type of activations, as in `--activation-dtype`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_dtype: Option<String>,
    /// As in `--device`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Model that drafts tokens for speculative decoding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft_model: Option<String>,
    /// Adapters, in the order in which they are applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<String>,
    /// File with a chat template in place of the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_template_file: Option<String>,
    /// As in `--tool-call-parser`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_parser: Option<String>,
    /// As in `--reasoning-parser`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_parser: Option<String>,
}

/// Defaults for what a request leaves out. The JSON has the field names of the worker's `x-mlxm-defaults` header.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestSettings {
    /// 0 is greedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Probability mass of nucleus sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Number of candidate tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u64>,
    /// Minimum probability, relative to the most likely token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// Factor on the logits of tokens that occurred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// Number of last tokens, prompt included, that `repetition_penalty` applies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_context_size: Option<u64>,
    /// Subtracted from the logits of tokens that occurred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// Subtracted from the logits of tokens for each occurrence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// Added to logits, by token id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<String, f64>,
    /// Seed of sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Stop strings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Maximum number of tokens of a completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// For requests without a system message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Whether the model reasons, or how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// "auto", "none" or "required", for requests with tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<String>,
}

/// Whether a model reasons, or how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Thinking {
    /// On or off.
    Enabled(bool),
    /// An effort, such as "low".
    Effort(String),
}

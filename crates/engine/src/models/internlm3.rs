//! `InternLM` 3: Llama whose configuration has other names for its biases.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{AttentionBias, GroupedConfig, RopeKeys};

/// `config.json` of an `InternLM` 3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<Option<usize>>,
    #[serde(default = "defaults::max_position_embeddings")]
    max_position_embeddings: usize,
    /// Biases of the MLP.
    #[serde(default)]
    bias: bool,
    /// Biases of the attention, including its output projection.
    #[serde(default)]
    qkv_bias: AttentionBias,
    #[serde(flatten)]
    rope: RopeKeys,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        Self {
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: config.qkv_bias,
            mlp_bias: config.bias,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.sizes, config.rope)
        }
    }
}

//! Qwen 2 and 2.5: Llama with biases on the query, key and value projections.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{AttentionBias, GroupedConfig, RopeKeys};

/// `config.json` of a Qwen 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig,
    #[serde(default = "defaults::max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(flatten)]
    rope: RopeKeys<1_000_000>,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        Self {
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: AttentionBias::Qkv,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.sizes, config.rope.resolved())
        }
    }
}

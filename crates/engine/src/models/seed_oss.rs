//! Seed-OSS: Llama with separate settings for the biases of the input and output projections of its attention.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{AttentionBias, GroupedConfig, RopeKeys};

/// `config.json` of a Seed-OSS checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<usize, usize>,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    attention_out_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(flatten)]
    rope: RopeKeys,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        Self {
            max_position_embeddings: config.max_position_embeddings,
            attention_bias: AttentionBias::of(config.attention_bias, config.attention_out_bias),
            mlp_bias: config.mlp_bias,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.sizes, config.rope)
        }
    }
}

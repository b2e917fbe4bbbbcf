//! Helium: Llama with RoPE on adjacent pairs.

use serde::Deserialize;

use super::llama;
use crate::nn::{AttentionBias, GroupedConfig, RopeKeys};

/// `config.json` of a Helium checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig,
    max_position_embeddings: usize,
    attention_bias: bool,
    mlp_bias: bool,
    rope_theta: f64,
    tie_word_embeddings: bool,
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        let rope = RopeKeys::new(config.rope_theta).on_adjacent_pairs();
        Self {
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: AttentionBias::qkv_if(config.attention_bias),
            mlp_bias: config.mlp_bias,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.sizes, rope)
        }
    }
}

//! `MiMo`: Llama with biases on queries, keys and values. Its layers for multi-token prediction are not used.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{AttentionBias, DecoderConfig, RopeScaling};

/// `config.json` of a `MiMo` checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    rms_norm_eps: f64,
    #[serde(default = "defaults::max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        Self {
            num_key_value_heads: Some(config.num_key_value_heads),
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: AttentionBias::Qkv,
            rope_traditional: config.rope_traditional,
            rope_scaling: config.rope_scaling,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.decoder, config.rms_norm_eps, config.rope_theta)
        }
    }
}

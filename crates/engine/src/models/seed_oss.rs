//! Seed-OSS: Llama with separate settings for the biases of the input and output projections of its attention.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{AttentionBias, DecoderConfig, RopeScaling};

/// `config.json` of a Seed-OSS checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    head_dim: usize,
    rms_norm_eps: f64,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    attention_out_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        Self {
            num_key_value_heads: Some(config.num_key_value_heads),
            head_dim: Some(config.head_dim),
            max_position_embeddings: config.max_position_embeddings,
            attention_bias: AttentionBias::of(config.attention_bias, config.attention_out_bias),
            mlp_bias: config.mlp_bias,
            rope_traditional: config.rope_traditional,
            rope_scaling: config.rope_scaling,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.decoder, config.rms_norm_eps, config.rope_theta)
        }
    }
}

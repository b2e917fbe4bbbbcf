//! TeleChat 3: Llama whose configuration has other defaults and a name of its own for YaRN.

use serde::Deserialize;

use super::llama;
use crate::nn::{AttentionBias, DecoderConfig, RopeScaling};

/// `config.json` of a TeleChat 3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    #[serde(default)]
    attention_bias: AttentionBias,
    #[serde(default)]
    mlp_bias: bool,
    rope_theta: f64,
    rope_scaling: Option<RopeScaling>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        Self {
            num_key_value_heads: Some(config.num_key_value_heads),
            head_dim: config.head_dim,
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: config.attention_bias,
            mlp_bias: config.mlp_bias,
            rope_scaling: config.rope_scaling,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.decoder, config.rms_norm_eps, config.rope_theta)
        }
    }
}

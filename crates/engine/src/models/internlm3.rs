//! `InternLM` 3: Llama whose configuration has other names for its biases.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{AttentionBias, DecoderConfig, RopeScaling};

/// `config.json` of an `InternLM` 3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: Option<usize>,
    rms_norm_eps: f64,
    #[serde(default = "defaults::max_position_embeddings")]
    max_position_embeddings: usize,
    /// Biases of the MLP.
    #[serde(default)]
    bias: bool,
    /// Biases of the attention, including its output projection.
    #[serde(default)]
    qkv_bias: AttentionBias,
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
            num_key_value_heads: config.num_key_value_heads,
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: config.qkv_bias,
            mlp_bias: config.bias,
            rope_traditional: config.rope_traditional,
            rope_scaling: config.rope_scaling,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.decoder, config.rms_norm_eps, config.rope_theta)
        }
    }
}

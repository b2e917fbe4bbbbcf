//! Helium: Llama with RoPE on adjacent pairs.

use serde::Deserialize;

use super::llama;
use crate::nn::{AttentionBias, DecoderConfig};

/// `config.json` of a Helium checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    attention_bias: bool,
    mlp_bias: bool,
    rope_theta: f64,
    tie_word_embeddings: bool,
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        Self {
            num_key_value_heads: Some(config.num_key_value_heads),
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: AttentionBias::qkv_if(config.attention_bias),
            mlp_bias: config.mlp_bias,
            rope_traditional: true,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.decoder, config.rms_norm_eps, config.rope_theta)
        }
    }
}

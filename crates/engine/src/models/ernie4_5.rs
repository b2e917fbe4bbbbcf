//! ERNIE 4.5: Llama with RoPE on adjacent pairs, and biases on all projections or none.

use serde::Deserialize;

use super::llama;
use crate::nn::{AttentionBias, DecoderConfig};

/// `config.json` of an ERNIE 4.5 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    use_bias: bool,
    rope_theta: f64,
    tie_word_embeddings: bool,
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        Self {
            num_key_value_heads: Some(config.num_key_value_heads),
            head_dim: config.head_dim,
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: AttentionBias::all_if(config.use_bias),
            mlp_bias: config.use_bias,
            rope_traditional: true,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.decoder, config.rms_norm_eps, config.rope_theta)
        }
    }
}

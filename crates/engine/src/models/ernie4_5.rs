//! ERNIE 4.5: Llama with RoPE on adjacent pairs, and biases on all projections or none.

use serde::Deserialize;

use super::llama;
use crate::nn::{AttentionBias, GroupedConfig, RopeKeys};

/// `config.json` of an ERNIE 4.5 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<usize, Option<usize>>,
    max_position_embeddings: usize,
    use_bias: bool,
    rope_theta: f64,
    tie_word_embeddings: bool,
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        let rope = RopeKeys::new(config.rope_theta).on_adjacent_pairs();
        Self {
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: AttentionBias::all_if(config.use_bias),
            mlp_bias: config.use_bias,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.sizes, rope)
        }
    }
}

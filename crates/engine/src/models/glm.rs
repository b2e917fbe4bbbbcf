//! GLM-4 (9B) and GLM-Edge: Llama with RoPE on adjacent pairs of a part of each head, biases on queries, keys and values, and one
//! projection for gate and up.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{AttentionBias, GroupedConfig, MlpNames, RopeKeys};

/// `config.json` of a GLM checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<usize, usize>,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    /// mlx-lm 0.32 ignores this key and rotates whole heads, unlike transformers, whose default this is. GLM-4 (9B) does not state
    /// it and was trained with the default, GLM-Edge states 1.
    #[serde(default = "default_partial_rotary_factor")]
    partial_rotary_factor: f64,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

fn default_partial_rotary_factor() -> f64 {
    0.5
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        let rope = RopeKeys::new(config.rope_theta).on_adjacent_pairs();
        let mut names = llama::Names::default();
        names.layer.mlp_projections = MlpNames::FUSED_GATED;
        Self {
            max_position_embeddings: config.max_position_embeddings,
            attention_bias: AttentionBias::qkv_if(config.attention_bias),
            partial_rotary_factor: Some(config.partial_rotary_factor),
            tie_word_embeddings: config.tie_word_embeddings,
            names,
            ..Self::new(config.sizes, rope)
        }
    }
}

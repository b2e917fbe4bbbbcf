//! TeleChat 3: Llama whose configuration has other defaults and a name of its own for YaRN.

use serde::Deserialize;

use super::llama;
use crate::nn::{AttentionBias, GroupedConfig, RopeKeys, RopeScaling};

/// `config.json` of a TeleChat 3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<usize, Option<usize>>,
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
        let mut rope = RopeKeys::new(config.rope_theta);
        rope.rope_scaling = config.rope_scaling;
        Self {
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: config.attention_bias,
            mlp_bias: config.mlp_bias,
            tie_word_embeddings: config.tie_word_embeddings,
            ..Self::new(config.sizes, rope)
        }
    }
}

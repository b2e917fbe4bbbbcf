//! `MiniCPM`: Granite, whose multipliers follow from the depth and width of the model.

use serde::Deserialize;

use super::granite;
use crate::nn::{GroupedConfig, RopeKeys};

/// `config.json` of a `MiniCPM` checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig,
    max_position_embeddings: Option<usize>,
    /// Width of the model for which the scale of the logits is 1.
    dim_model_base: f64,
    scale_depth: f64,
    scale_emb: f32,
    #[serde(flatten)]
    rope: RopeKeys<1_000_000>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl From<Config> for granite::Config {
    fn from(config: Config) -> Self {
        let decoder = config.sizes.decoder;
        let head_dim = decoder.dimensions(None, None, None).attention.head_dim;
        let layers = decoder.num_hidden_layers as f64;
        let logits_scaling = decoder.hidden_size as f64 / config.dim_model_base;
        Self {
            sizes: config.sizes,
            max_position_embeddings: config.max_position_embeddings,
            embedding_multiplier: config.scale_emb,
            attention_multiplier: (head_dim as f32).powf(-0.5),
            residual_multiplier: (config.scale_depth / layers.sqrt()) as f32,
            logits_scaling: logits_scaling as f32,
            attention_bias: false,
            mlp_bias: false,
            rope_theta: config.rope.rope_theta,
            rope_traditional: config.rope.rope_traditional,
            rope_scaling: config.rope.rope_scaling,
            tie_word_embeddings: config.tie_word_embeddings,
            lm_head_is_optional: true,
        }
    }
}

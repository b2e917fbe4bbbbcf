//! `MiniCPM`: Granite, whose multipliers follow from the depth and width of the model.

use serde::Deserialize;

use super::granite;
use crate::nn::{DecoderConfig, RopeScaling};

/// `config.json` of a `MiniCPM` checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    rms_norm_eps: f64,
    max_position_embeddings: Option<usize>,
    /// Width of the model for which the scale of the logits is 1.
    dim_model_base: f64,
    scale_depth: f64,
    scale_emb: f32,
    #[serde(default = "default_rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

fn default_rope_theta() -> f64 {
    1_000_000.0
}

impl From<Config> for granite::Config {
    fn from(config: Config) -> Self {
        let decoder = config.decoder;
        let head_dim = decoder.dimensions(None, None, None).attention.head_dim;
        let layers = decoder.num_hidden_layers as f64;
        let logits_scaling = decoder.hidden_size as f64 / config.dim_model_base;
        Self {
            decoder,
            num_key_value_heads: config.num_key_value_heads,
            rms_norm_eps: config.rms_norm_eps,
            max_position_embeddings: config.max_position_embeddings,
            embedding_multiplier: config.scale_emb,
            attention_multiplier: (head_dim as f32).powf(-0.5),
            residual_multiplier: (config.scale_depth / layers.sqrt()) as f32,
            logits_scaling: logits_scaling as f32,
            attention_bias: false,
            mlp_bias: false,
            rope_theta: config.rope_theta,
            rope_traditional: config.rope_traditional,
            rope_scaling: config.rope_scaling,
            tie_word_embeddings: config.tie_word_embeddings,
            lm_head_is_optional: true,
        }
    }
}

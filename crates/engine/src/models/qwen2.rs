//! Qwen 2 and 2.5: Llama with biases on the query, key and value projections.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, Residual, RopeConfig, RopeScaling,
};

/// `config.json` of a Qwen 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    rms_norm_eps: f64,
    #[serde(default = "defaults::max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default = "default_rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

fn default_rope_theta() -> f64 {
    1_000_000.0
}

impl DecoderModel for Config {
    fn dimensions(&self) -> Dimensions {
        self.decoder.dimensions(
            Some(self.num_key_value_heads),
            None,
            Some(self.max_position_embeddings),
        )
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rope = RopeConfig {
            traditional: self.rope_traditional,
            scaling: self.rope_scaling.as_ref(),
            max_position_embeddings: Some(self.max_position_embeddings),
            ..RopeConfig::new(dims.head_dim, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let attention = Attention::load(layer, &weights, dims, AttentionBias::Qkv, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("post_attention_layernorm", weights)?);
        let weights = weights.child("mlp");
        Mlp::gated(&weights, &self.dimensions(), Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

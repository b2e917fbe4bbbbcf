//! Qwen 2 and 2.5: Llama with biases on the query, key and value projections.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{AttentionDims, Dimensions, Model, ModelConfig};
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, GatedMlp, Layer, Residual, RopeConfig,
    RopeScaling,
};

/// `config.json` of a Qwen 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    rms_norm_eps: f64,
    #[serde(default = "default_max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default = "default_rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    #[serde(default = "default_tie_word_embeddings")]
    tie_word_embeddings: bool,
}

fn default_max_position_embeddings() -> usize {
    32_768
}

fn default_rope_theta() -> f64 {
    1_000_000.0
}

fn default_tie_word_embeddings() -> bool {
    true
}

impl Config {
    fn attention_dims(&self) -> AttentionDims {
        self.decoder
            .attention_dims(self.num_key_value_heads, self.decoder.default_head_dim())
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.attention_dims();
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

    fn mlp(&self, weights: &Scope<'_>) -> Result<GatedMlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("post_attention_layernorm", weights)?);
        let weights = weights.child("mlp");
        GatedMlp::load(&weights, &self.decoder, false, Activation::Silu, residual)
    }

    fn layer(&self, layer: usize, weights: &Scope<'_>) -> Result<Layer, LoadError> {
        Ok(Layer::gated(
            self.attention(layer, weights)?,
            self.mlp(weights)?,
        ))
    }
}

impl ModelConfig for Config {
    fn dimensions(&self) -> Dimensions {
        self.decoder
            .dimensions(self.attention_dims(), Some(self.max_position_embeddings))
    }

    fn sanitize(&self, weights: &mut Weights) {
        Decoder::sanitize(weights, self.tie_word_embeddings);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        let decoder = Decoder::load(
            weights,
            &self.decoder,
            self.tie_word_embeddings,
            |layer, weights| self.layer(layer, weights),
            |name, weights| self.norm(name, weights),
        )?;
        Ok(Box::new(decoder))
    }
}

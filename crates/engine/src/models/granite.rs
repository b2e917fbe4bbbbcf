//! Granite: Llama with multipliers on embeddings, attention scores, residuals and logits.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, DecoderModel, Mlp, Residual, RopeConfig,
    RopeScaling,
};

/// `config.json` of a Granite checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    embedding_multiplier: f32,
    attention_multiplier: f32,
    residual_multiplier: f32,
    logits_scaling: f32,
    attention_bias: bool,
    mlp_bias: bool,
    rope_theta: f64,
    rope_scaling: Option<RopeScaling>,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

impl Config {
    /// A pre-norm, and a scaled residual.
    fn residual(&self, norm: &str, weights: &Scope<'_>) -> Result<Residual, LoadError> {
        Ok(Residual::pre_norm(self.norm(norm, weights)?).scaled(self.residual_multiplier))
    }
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
            scaling: self.rope_scaling.as_ref(),
            max_position_embeddings: Some(self.max_position_embeddings),
            ..RopeConfig::new(dims.head_dim, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = self.residual("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        Ok(Attention::load(layer, &weights, dims, bias, residual)?
            .with_scale(self.attention_multiplier)
            .with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.residual("post_attention_layernorm", weights)?;
        let weights = weights.child("mlp");
        let (dimensions, bias) = (self.dimensions(), self.mlp_bias);
        let activation = Activation::Silu;
        Mlp::gated_with_optional_bias(&weights, &dimensions, bias, activation, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        Ok(Decoder::load(self, weights)?
            .with_embedding_scale(self.embedding_multiplier)
            .map_lm_head(|lm_head| lm_head.logits_scaling(self.logits_scaling)))
    }
}

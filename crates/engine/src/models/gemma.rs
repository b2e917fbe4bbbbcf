//! Gemma: scaled embeddings, norm weights stored as offsets from one, an exact GELU gate, a tied LM head.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{AttentionDims, Dimensions, Model, ModelConfig};
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, GatedMlp, Layer, Residual, RopeConfig,
};

/// `config.json` of a Gemma checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    head_dim: usize,
    rms_norm_eps: f64,
    max_position_embeddings: Option<usize>,
    #[serde(default = "default_rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
}

fn default_rope_theta() -> f64 {
    10_000.0
}

impl Config {
    fn attention_dims(&self) -> AttentionDims {
        self.decoder
            .attention_dims(self.num_key_value_heads, self.head_dim)
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm_plus_one(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rope = RopeConfig {
            traditional: self.rope_traditional,
            max_position_embeddings: self.max_position_embeddings,
            ..RopeConfig::new(self.head_dim, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let (dims, bias) = (self.attention_dims(), AttentionBias::None);
        Ok(Attention::load(layer, &weights, dims, bias, residual)?.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<GatedMlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("post_attention_layernorm", weights)?);
        let weights = weights.child("mlp");
        GatedMlp::load(&weights, &self.decoder, false, Activation::Gelu, residual)
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
            .dimensions(self.attention_dims(), self.max_position_embeddings)
    }

    fn sanitize(&self, weights: &mut Weights) {
        Decoder::sanitize(weights, true);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        let decoder = Decoder::load(
            weights,
            &self.decoder,
            true,
            |layer, weights| self.layer(layer, weights),
            |name, weights| self.norm(name, weights),
        )?;
        let embedding_scale = (self.decoder.hidden_size as f32).sqrt();
        Ok(Box::new(decoder.with_embedding_scale(embedding_scale)))
    }
}

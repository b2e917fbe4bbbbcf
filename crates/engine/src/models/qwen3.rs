//! Qwen 3: Llama with an RMS norm over each head of the queries and keys.

use mlxm_kernels::{Activation, Norm, QkNorms};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{AttentionDims, Dimensions, Model, ModelConfig};
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, GatedMlp, Layer, Residual, RopeConfig,
    RopeScaling,
};

/// `config.json` of a Qwen 3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    head_dim: usize,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    rope_theta: f64,
    rope_scaling: Option<RopeScaling>,
    tie_word_embeddings: bool,
}

impl Config {
    fn attention_dims(&self) -> AttentionDims {
        self.decoder
            .attention_dims(self.num_key_value_heads, self.head_dim)
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rope = RopeConfig {
            scaling: self.rope_scaling.as_ref(),
            max_position_embeddings: Some(self.max_position_embeddings),
            ..RopeConfig::new(self.head_dim, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let norms = QkNorms {
            q: weights.rms_norm("q_norm", self.head_dim, self.rms_norm_eps)?,
            k: weights.rms_norm("k_norm", self.head_dim, self.rms_norm_eps)?,
        };
        let (dims, bias) = (self.attention_dims(), AttentionBias::None);
        let attention = Attention::load(layer, &weights, dims, bias, residual)?;
        Ok(attention.with_qk_norms(norms).with_rope(rope))
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

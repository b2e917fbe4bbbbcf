//! Gemma 2: Gemma with norms on both sides of each block and softcaps on attention scores and logits.
//!
//! The published models alternate sliding and full attention. mlx-lm, the reference here, uses full attention in every
//! layer, which is the same up to the length of the window; so does this.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{AttentionDims, Dimensions, Model, ModelConfig};
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, GatedMlp, Layer, Residual, RopeConfig,
};

/// `config.json` of a Gemma 2 checkpoint.
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
    #[serde(default = "default_query_pre_attn_scalar")]
    query_pre_attn_scalar: f32,
    #[serde(default = "default_attn_logit_softcapping")]
    attn_logit_softcapping: f32,
    #[serde(default = "default_final_logit_softcapping")]
    final_logit_softcapping: f32,
}

fn default_rope_theta() -> f64 {
    10_000.0
}

fn default_query_pre_attn_scalar() -> f32 {
    144.0
}

fn default_attn_logit_softcapping() -> f32 {
    50.0
}

fn default_final_logit_softcapping() -> f32 {
    30.0
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
        let residual = Residual::sandwich(
            self.norm("input_layernorm", weights)?,
            self.norm("post_attention_layernorm", weights)?,
        );
        let weights = weights.child("self_attn");
        let (dims, bias) = (self.attention_dims(), AttentionBias::None);
        let attention = Attention::load(layer, &weights, dims, bias, residual)?
            .with_scale(self.query_pre_attn_scalar.powf(-0.5))
            .with_softcap(self.attn_logit_softcapping);
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<GatedMlp, LoadError> {
        let residual = Residual::sandwich(
            self.norm("pre_feedforward_layernorm", weights)?,
            self.norm("post_feedforward_layernorm", weights)?,
        );
        let weights = weights.child("mlp");
        GatedMlp::load(
            &weights,
            &self.decoder,
            false,
            Activation::GeluTanh,
            residual,
        )
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
        Ok(Box::new(
            decoder
                .with_embedding_scale(embedding_scale)
                .map_lm_head(|lm_head| lm_head.logit_softcap(self.final_logit_softcapping)),
        ))
    }
}

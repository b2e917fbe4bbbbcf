//! Gemma 2: Gemma with norms on both sides of each block and softcaps on attention scores and logits.
//!
//! The published models alternate sliding and full attention. mlx-lm, the reference here, uses full attention in every
//! layer, which is the same up to the length of the window; so does this.

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::gemma;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{Attention, AttentionBias, Decoder, DecoderModel, Mlp, Shape};

/// `config.json` of a Gemma 2 checkpoint: the keys of Gemma, and more.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    gemma: gemma::Config,
    #[serde(default = "default_query_pre_attn_scalar")]
    query_pre_attn_scalar: f32,
    #[serde(default = "default_attn_logit_softcapping")]
    attn_logit_softcapping: f32,
    #[serde(default = "default_final_logit_softcapping")]
    final_logit_softcapping: f32,
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

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.gemma.shape()
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rope = self.gemma.rope().build(weights)?;
        let residual = self.sandwich("input_layernorm", "post_attention_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let attention = Attention::load(self, layer, &weights, AttentionBias::None, residual)?
            .with_scale(self.query_pre_attn_scalar.powf(-0.5))
            .with_softcap(self.attn_logit_softcapping);
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.sandwich(
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
            weights,
        )?;
        Mlp::gated(self, &weights.child("mlp"), Activation::GeluTanh, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(true)
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        Ok(Decoder::load(self, weights)?
            .with_embedding_scale(self.gemma.embedding_scale())
            .map_lm_head(|lm_head| lm_head.logit_softcap(self.final_logit_softcapping)))
    }
}

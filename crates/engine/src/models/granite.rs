//! Granite: Llama with multipliers on embeddings, attention scores, residuals and logits.

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderModel, GroupedConfig, Mlp, Residual, RopeConfig,
    RopeScaling, Shape,
};

/// `config.json` of a Granite checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    pub(super) sizes: GroupedConfig,
    pub(super) max_position_embeddings: Option<usize>,
    pub(super) embedding_multiplier: f32,
    pub(super) attention_multiplier: f32,
    pub(super) residual_multiplier: f32,
    pub(super) logits_scaling: f32,
    pub(super) attention_bias: bool,
    pub(super) mlp_bias: bool,
    pub(super) rope_theta: f64,
    #[serde(skip)]
    pub(super) rope_traditional: bool,
    pub(super) rope_scaling: Option<RopeScaling>,
    #[serde(default = "defaults::tie_word_embeddings")]
    pub(super) tie_word_embeddings: bool,
    /// Whether the embeddings replace an LM head that the checkpoint lacks (`MiniCPM`).
    #[serde(skip)]
    pub(super) lm_head_is_optional: bool,
}

impl Config {
    /// A pre-norm, and a scaled residual.
    fn residual(&self, norm: &str, weights: &Scope<'_>) -> Result<Residual, LoadError> {
        Ok(Residual::pre_norm(self.norm(norm, weights)?).scaled(self.residual_multiplier))
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.sizes.shape(self.max_position_embeddings)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rope = RopeConfig::new(self.head_dim(), self.rope_theta)
            .traditional(self.rope_traditional)
            .scaled(self.rope_scaling.as_ref(), self.max_position_embeddings)
            .build(weights)?;
        let residual = self.residual("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        Ok(Attention::load(self, layer, &weights, bias, residual)?
            .with_scale(self.attention_multiplier)
            .with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.residual("post_attention_layernorm", weights)?;
        let (weights, bias) = (weights.child("mlp"), self.mlp_bias);
        Mlp::gated_with_optional_bias(self, &weights, bias, Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        let tied = self.tie_word_embeddings;
        (tied || !self.lm_head_is_optional).then_some(tied)
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        Ok(Decoder::load(self, weights)?
            .with_embedding_scale(self.embedding_multiplier)
            .map_lm_head(|lm_head| lm_head.logits_scaling(self.logits_scaling)))
    }
}

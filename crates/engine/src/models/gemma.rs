//! Gemma: scaled embeddings, norm weights stored as offsets from one, an exact GELU gate, a tied LM head.

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderModel, GroupedConfig, Mlp, RopeConfig, Shape,
};

/// `config.json` of a Gemma checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<usize, usize>,
    max_position_embeddings: Option<usize>,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
}

impl Config {
    /// RoPE of all layers.
    pub(super) fn rope(&self) -> RopeConfig<'_> {
        RopeConfig::new(self.sizes.head_dim, self.rope_theta).traditional(self.rope_traditional)
    }

    /// Factor of the embeddings.
    pub(super) fn embedding_scale(&self) -> f32 {
        (self.sizes.decoder.hidden_size as f32).sqrt()
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.sizes.shape_plus_one(self.max_position_embeddings)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rope = self.rope().build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let attention = Attention::load(self, layer, &weights, AttentionBias::None, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("post_attention_layernorm", weights)?;
        Mlp::gated(self, &weights.child("mlp"), Activation::Gelu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(true)
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        Ok(Decoder::load(self, weights)?.with_embedding_scale(self.embedding_scale()))
    }
}

//! Qwen 3: Llama with an RMS norm over each head of the queries and keys.

use mlxm_kernels::Activation;
use serde::Deserialize;

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, DecoderModel, GroupedConfig, Mlp, RopeConfig, RopeScaling, Shape,
};

/// `config.json` of a Qwen 3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    pub(super) sizes: GroupedConfig<usize, usize>,
    max_position_embeddings: usize,
    rope_theta: f64,
    rope_scaling: Option<RopeScaling>,
    tie_word_embeddings: bool,
}

impl Config {
    /// RoPE of all layers that have it.
    pub(super) fn rope(&self) -> RopeConfig<'_> {
        RopeConfig::new(self.sizes.head_dim, self.rope_theta)
            .scaled(self.rope_scaling.as_ref(), self.max_position_embeddings)
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.sizes.shape(self.max_position_embeddings)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rope = self.rope().build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let norms = self.sizes.qk_norms(&weights)?;
        let attention = Attention::load(self, layer, &weights, AttentionBias::None, residual)?;
        Ok(attention.with_qk_norms(norms).with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("post_attention_layernorm", weights)?;
        Mlp::gated(self, &weights.child("mlp"), Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

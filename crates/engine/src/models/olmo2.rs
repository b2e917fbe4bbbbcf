//! OLMo 2: norms after the blocks instead of before them, and RMS norms over all heads of the queries and keys together.

use mlxm_kernels::{Activation, QkNorms};
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{Attention, AttentionBias, DecoderModel, GroupedConfig, Mlp, RopeKeys, Shape};

/// `config.json` of an OLMo 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<Option<usize>, Option<usize>>,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(flatten)]
    pub(super) rope: RopeKeys,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.sizes.shape(self.max_position_embeddings)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let context = self.max_position_embeddings;
        let rope = self.rope.config(dims.head_dim, context).build(weights)?;
        let residual = self.post_norm("post_attention_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let norms = QkNorms {
            q: weights.rms_norm("q_norm", dims.q_width(), self.sizes.rms_norm_eps)?,
            k: weights.rms_norm("k_norm", dims.kv_width(), self.sizes.rms_norm_eps)?,
        };
        let bias = AttentionBias::all_if(self.attention_bias);
        let attention = Attention::load(self, layer, &weights, bias, residual)?;
        Ok(attention.with_qk_norms(norms).with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.post_norm("post_feedforward_layernorm", weights)?;
        let (weights, bias) = (weights.child("mlp"), self.mlp_bias);
        Mlp::gated_with_optional_bias(self, &weights, bias, Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

//! OLMo 2: norms after the blocks instead of before them, and RMS norms over all heads of the queries and keys together.

use mlxm_kernels::{Activation, Norm, QkNorms};
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, Residual, RopeConfig, RopeScaling,
};

/// `config.json` of an OLMo 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    pub(super) rope_scaling: Option<RopeScaling>,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

impl DecoderModel for Config {
    fn dimensions(&self) -> Dimensions {
        self.decoder.dimensions(
            self.num_key_value_heads,
            self.head_dim,
            self.max_position_embeddings,
        )
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rope = RopeConfig {
            traditional: self.rope_traditional,
            scaling: self.rope_scaling.as_ref(),
            max_position_embeddings: self.max_position_embeddings,
            ..RopeConfig::new(dims.head_dim, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::post_norm(self.norm("post_attention_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let norms = QkNorms {
            q: weights.rms_norm("q_norm", dims.q_width(), self.rms_norm_eps)?,
            k: weights.rms_norm("k_norm", dims.kv_width(), self.rms_norm_eps)?,
        };
        let bias = AttentionBias::all_if(self.attention_bias);
        let attention = Attention::load(layer, &weights, dims, bias, residual)?;
        Ok(attention.with_qk_norms(norms).with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::post_norm(self.norm("post_feedforward_layernorm", weights)?);
        let weights = weights.child("mlp");
        let (dimensions, bias) = (self.dimensions(), self.mlp_bias);
        let activation = Activation::Silu;
        Mlp::gated_with_optional_bias(&weights, &dimensions, bias, activation, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

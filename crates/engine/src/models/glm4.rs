//! GLM-4-0414: norms on both sides of each block, partial RoPE, one projection for gate and up.

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{Attention, AttentionBias, DecoderModel, GroupedConfig, Mlp, RopeConfig, Shape};

/// `config.json` of a GLM-4-0414 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<usize, usize>,
    #[serde(default = "defaults::max_position_embeddings")]
    max_position_embeddings: usize,
    attention_bias: bool,
    partial_rotary_factor: f64,
    rope_theta: f64,
    #[serde(default = "default_rope_traditional")]
    rope_traditional: bool,
}

fn default_rope_traditional() -> bool {
    true
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.sizes.shape(self.max_position_embeddings)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rotated = self.rotated(self.partial_rotary_factor);
        let rope = RopeConfig::new(rotated, self.rope_theta)
            .traditional(self.rope_traditional)
            .build(weights)?;
        let residual = self.sandwich("input_layernorm", "post_self_attn_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let bias = AttentionBias::qkv_if(self.attention_bias);
        Ok(Attention::load(self, layer, &weights, bias, residual)?.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.sandwich("post_attention_layernorm", "post_mlp_layernorm", weights)?;
        Mlp::fused_gated(self, &weights.child("mlp"), Activation::Silu, residual)
    }
}

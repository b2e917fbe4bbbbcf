//! GLM-4-0414: norms on both sides of each block, partial RoPE, one projection for gate and up.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, Residual, RopeConfig};

/// `config.json` of a GLM-4-0414 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    head_dim: usize,
    rms_norm_eps: f64,
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
    fn dimensions(&self) -> Dimensions {
        self.decoder.dimensions(
            Some(self.num_key_value_heads),
            Some(self.head_dim),
            Some(self.max_position_embeddings),
        )
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rotated = (dims.head_dim as f64 * self.partial_rotary_factor) as usize;
        let rope = RopeConfig {
            traditional: self.rope_traditional,
            ..RopeConfig::new(rotated, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::sandwich(
            self.norm("input_layernorm", weights)?,
            self.norm("post_self_attn_layernorm", weights)?,
        );
        let weights = weights.child("self_attn");
        let bias = AttentionBias::qkv_if(self.attention_bias);
        Ok(Attention::load(layer, &weights, dims, bias, residual)?.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::sandwich(
            self.norm("post_attention_layernorm", weights)?,
            self.norm("post_mlp_layernorm", weights)?,
        );
        let weights = weights.child("mlp");
        Mlp::fused_gated(&weights, &self.dimensions(), Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(false)
    }
}

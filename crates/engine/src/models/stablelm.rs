//! StableLM: layer norms and partial RoPE; optionally norms on the heads of queries and keys, each head with its own, and
//! attention and MLP in parallel.

use mlxm_kernels::{Activation, QkNorms};
use serde::Deserialize;

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, NormKind, RopeConfig, Shape,
};

/// `config.json` of a StableLM checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    max_position_embeddings: Option<usize>,
    rope_theta: f64,
    partial_rotary_factor: f64,
    layer_norm_eps: f64,
    use_qkv_bias: bool,
    #[serde(default)]
    use_parallel_residual: bool,
    #[serde(default)]
    qk_layernorm: bool,
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        let (kv_heads, context) = (self.num_key_value_heads, self.max_position_embeddings);
        let dimensions = self.decoder.dimensions(kv_heads, None, context);
        Shape::new(dimensions, NormKind::Layer(self.layer_norm_eps))
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rotated = self.rotated(self.partial_rotary_factor);
        let rope = RopeConfig::new(rotated, self.rope_theta).build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let bias = AttentionBias::of(self.use_qkv_bias, false);
        let attention = Attention::load(self, layer, &weights, bias, residual)?.with_rope(rope);
        if !self.qk_layernorm {
            return Ok(attention);
        }
        let norm = |name, heads| {
            weights.layer_norm_of_heads(name, heads, dims.head_dim, self.layer_norm_eps)
        };
        Ok(attention.with_qk_norms(QkNorms {
            q: norm("q_layernorm", dims.heads)?,
            k: norm("k_layernorm", dims.kv_heads)?,
        }))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let name = if self.use_parallel_residual {
            "input_layernorm"
        } else {
            "post_attention_layernorm"
        };
        let residual = self.pre_norm(name, weights)?;
        Mlp::gated(self, &weights.child("mlp"), Activation::Silu, residual)
    }

    fn parallel_residual(&self) -> bool {
        self.use_parallel_residual
    }
}

//! StableLM: layer norms and partial RoPE; optionally norms on the heads of queries and keys, each head with its own, and
//! attention and MLP in parallel.

use mlxm_kernels::{Activation, Norm, QkNorms};
use serde::Deserialize;

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, Residual, RopeConfig};

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
    fn dimensions(&self) -> Dimensions {
        self.decoder.dimensions(
            Some(self.num_key_value_heads),
            None,
            self.max_position_embeddings,
        )
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.layer_norm(name, self.decoder.hidden_size, self.layer_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rotated = (self.partial_rotary_factor * dims.head_dim as f64) as usize;
        let rope = RopeConfig::new(rotated, self.rope_theta).build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let bias = AttentionBias::of(self.use_qkv_bias, false);
        let attention = Attention::load(layer, &weights, dims, bias, residual)?.with_rope(rope);
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
        let residual = Residual::pre_norm(self.norm(name, weights)?);
        let weights = weights.child("mlp");
        Mlp::gated(&weights, &self.dimensions(), Activation::Silu, residual)
    }

    fn parallel_residual(&self) -> bool {
        self.use_parallel_residual
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(false)
    }
}

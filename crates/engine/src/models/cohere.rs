//! Cohere Command R: attention and MLP in parallel after one layer norm without bias, RoPE of adjacent pairs, scaled logits.

use mlxm_kernels::{Activation, Norm, QkNorms};
use serde::Deserialize;

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, DecoderModel, Mlp, Residual, RopeConfig,
};

/// `config.json` of a Cohere checkpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    vocab_size: usize,
    max_position_embeddings: Option<usize>,
    rope_theta: f64,
    layer_norm_eps: f64,
    layer_norm_bias: bool,
    logit_scale: f32,
    attention_bias: bool,
    use_qk_norm: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 8192,
            num_hidden_layers: 40,
            intermediate_size: 22_528,
            num_attention_heads: 64,
            num_key_value_heads: 64,
            vocab_size: 256_000,
            max_position_embeddings: None,
            rope_theta: 8_000_000.0,
            layer_norm_eps: 1e-5,
            layer_norm_bias: false,
            logit_scale: 0.0625,
            attention_bias: false,
            use_qk_norm: false,
        }
    }
}

impl Config {
    /// Factor of the logits.
    pub fn logit_scale(&self) -> f32 {
        self.logit_scale
    }
}

impl DecoderModel for Config {
    fn dimensions(&self) -> Dimensions {
        let decoder = DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
        };
        decoder.dimensions(
            Some(self.num_key_value_heads),
            None,
            self.max_position_embeddings,
        )
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        let (width, eps) = (self.hidden_size, self.layer_norm_eps);
        weights.layer_norm_with_optional_bias(name, width, eps, self.layer_norm_bias)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rope = RopeConfig {
            traditional: true,
            ..RopeConfig::new(dims.head_dim, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        let attention = Attention::load(layer, &weights, dims, bias, residual)?.with_rope(rope);
        if !self.use_qk_norm {
            return Ok(attention);
        }
        let norm = |name, heads| {
            weights.layer_norm_per_head(name, heads, dims.head_dim, self.layer_norm_eps)
        };
        Ok(attention.with_qk_norms(QkNorms {
            q: norm("q_norm", dims.heads)?,
            k: norm("k_norm", dims.kv_heads)?,
        }))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("mlp");
        Mlp::gated(&weights, &self.dimensions(), Activation::Silu, residual)
    }

    fn parallel_residual(&self) -> bool {
        true
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(true)
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        let scale = self.logit_scale;
        Ok(Decoder::load(self, weights)?.map_lm_head(|lm_head| lm_head.logit_scale(scale)))
    }
}

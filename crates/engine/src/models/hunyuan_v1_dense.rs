//! Hunyuan (dense): norms on the heads of queries and keys after RoPE, whose base depends on `alpha`.

use mlxm_kernels::{Activation, QkNorms};
use serde::Deserialize;
use serde_json::Value;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, DecoderModel, GroupedConfig, Mlp, RopeConfig, RopeScaling, Shape,
};

/// `config.json` of a Hunyuan checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<usize, Option<usize>>,
    #[serde(default = "defaults::max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default = "default_use_qk_norm")]
    use_qk_norm: bool,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_scaling: RopeScaling,
    #[serde(default)]
    tie_word_embeddings: bool,
}

fn default_use_qk_norm() -> bool {
    true
}

impl Config {
    /// Factor of the base of RoPE before its exponent; 1 without scaling.
    fn alpha(&self) -> Result<f64, String> {
        if self.rope_scaling.is_empty() {
            return Ok(1.0);
        }
        let kind = self.rope_scaling.get("type");
        let kind = kind.or_else(|| self.rope_scaling.get("rope_type"));
        if kind.and_then(Value::as_str) != Some("dynamic") {
            return Err("`rope_scaling.type` must be `dynamic`".into());
        }
        let alpha = self.rope_scaling.get("alpha").and_then(Value::as_f64);
        let alpha = alpha.filter(|alpha| *alpha > 0.0);
        alpha.ok_or_else(|| "`rope_scaling.alpha` must be a positive number".into())
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.sizes.shape(self.max_position_embeddings)
    }

    fn check(&self) -> Result<(), String> {
        self.alpha().map(|_| ())
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let alpha = self
            .alpha()
            .map_err(|problem| weights.config_error(problem))?;
        // The base of dynamic NTK scaling, with a constant factor instead of one that depends on the context length.
        let width = dims.head_dim as f64;
        let base = self.rope_theta * alpha.powf(width / (width - 2.0));
        let rope = RopeConfig::new(dims.head_dim, base).build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        let attention = Attention::load(self, layer, &weights, bias, residual)?.with_rope(rope);
        if !self.use_qk_norm {
            return Ok(attention);
        }
        let norms = QkNorms {
            q: weights.rms_norm("query_layernorm", dims.head_dim, self.sizes.rms_norm_eps)?,
            k: weights.rms_norm("key_layernorm", dims.head_dim, self.sizes.rms_norm_eps)?,
        };
        Ok(attention
            .with_qk_norms(norms)
            .map_rope(|rope| rope.before_norms = true))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("post_attention_layernorm", weights)?;
        Mlp::gated(self, &weights.child("mlp"), Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

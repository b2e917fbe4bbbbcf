//! Phi-3 and Phi-4: one fused projection for queries, keys and values, one for gate and up; partial RoPE.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;
use serde_json::Value;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderConfig, DecoderModel, Mlp, Residual,
    RopeConfig, RopeScaling,
};

/// `config.json` of a Phi-3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: Option<usize>,
    rms_norm_eps: f64,
    #[serde(default = "default_max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default = "default_original_max_position_embeddings")]
    original_max_position_embeddings: usize,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    #[serde(default = "default_partial_rotary_factor")]
    partial_rotary_factor: f64,
    #[serde(default)]
    tie_word_embeddings: bool,
}

fn default_max_position_embeddings() -> usize {
    131_072
}

fn default_original_max_position_embeddings() -> usize {
    4096
}

fn default_partial_rotary_factor() -> f64 {
    1.0
}

impl Config {
    /// `rope_scaling` with the trained length, which Phi-3 states outside of it. As in mlx-lm, other types are ignored.
    fn rope_scaling(&self) -> Result<Option<RopeScaling>, String> {
        let Some(scaling) = &self.rope_scaling else {
            return Ok(None);
        };
        let kind = scaling.get("type").or_else(|| scaling.get("rope_type"));
        let Some(kind) = kind
            .and_then(Value::as_str)
            .filter(|_| scaling.contains_key("long_factor"))
        else {
            return Err("`rope_scaling` must contain `type` and `long_factor`".into());
        };
        if !matches!(kind, "longrope" | "su" | "linear") {
            return Ok(None);
        }
        let mut scaling = scaling.clone();
        scaling.insert(
            "original_max_position_embeddings".into(),
            self.original_max_position_embeddings.into(),
        );
        Ok(Some(scaling))
    }
}

impl DecoderModel for Config {
    fn dimensions(&self) -> Dimensions {
        self.decoder.dimensions(
            self.num_key_value_heads,
            None,
            Some(self.max_position_embeddings),
        )
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let scaling = self
            .rope_scaling()
            .map_err(|problem| weights.config_error(problem))?;
        let rotated = (dims.head_dim as f64 * self.partial_rotary_factor) as usize;
        let rope = RopeConfig {
            traditional: self.rope_traditional,
            scaling: scaling.as_ref(),
            max_position_embeddings: Some(self.max_position_embeddings),
            ..RopeConfig::new(rotated, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let (names, bias) = (AttentionNames::FUSED, AttentionBias::None);
        let attention = Attention::load_named(layer, &weights, names, dims, bias, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("post_attention_layernorm", weights)?);
        let weights = weights.child("mlp");
        Mlp::fused_gated(&weights, &self.dimensions(), Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

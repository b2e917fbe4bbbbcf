//! Phi-3 and Phi-4: one fused projection for queries, keys and values, one for gate and up; partial RoPE.

use mlxm_kernels::Activation;
use serde::Deserialize;
use serde_json::Value;

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderModel, GroupedConfig, Mlp, RopeConfig,
    RopeKeys, RopeScaling, Shape,
};

/// `config.json` of a Phi-3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<Option<usize>>,
    #[serde(default = "default_max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default = "default_original_max_position_embeddings")]
    original_max_position_embeddings: usize,
    #[serde(flatten)]
    rope: RopeKeys,
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
        let Some(scaling) = &self.rope.rope_scaling else {
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
    fn shape(&self) -> Shape {
        self.sizes.shape(self.max_position_embeddings)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let scaling = self
            .rope_scaling()
            .map_err(|problem| weights.config_error(problem))?;
        let rotated = self.rotated(self.partial_rotary_factor);
        let rope = RopeConfig::new(rotated, self.rope.rope_theta)
            .traditional(self.rope.rope_traditional)
            .scaled(scaling.as_ref(), self.max_position_embeddings)
            .build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let (names, bias) = (AttentionNames::FUSED, AttentionBias::None);
        let attention = Attention::load_named(self, layer, &weights, names, bias, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("post_attention_layernorm", weights)?;
        Mlp::fused_gated(self, &weights.child("mlp"), Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

//! Nemotron: layer norms whose weights are stored as offsets from one, partial RoPE, an MLP without a gate and with squared ReLU.

use mlxm_kernels::Activation;
use serde::Deserialize;
use serde_json::Value;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, MlpNames, NormKind, RopeConfig,
    RopeScaling, Shape,
};

/// `config.json` of a Nemotron checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    head_dim: Option<usize>,
    norm_eps: f64,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "default_partial_rotary_factor")]
    partial_rotary_factor: f64,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    rope_scaling: Option<RopeScaling>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

fn default_partial_rotary_factor() -> f64 {
    0.5
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        let (kv_heads, context) = (self.num_key_value_heads, self.max_position_embeddings);
        let head_dim = self.head_dim.filter(|head_dim| *head_dim > 0);
        let dimensions = self.decoder.dimensions(kv_heads, head_dim, context);
        Shape::new(dimensions, NormKind::LayerPlusOne(self.norm_eps))
    }

    fn check(&self) -> Result<(), String> {
        let Some(scaling) = self
            .rope_scaling
            .as_ref()
            .filter(|fields| !fields.is_empty())
        else {
            return Ok(());
        };
        let kind = scaling.get("type").or_else(|| scaling.get("rope_type"));
        if kind.and_then(Value::as_str) != Some("linear") {
            return Err("`rope_scaling` of Nemotron must have the `type` linear".into());
        }
        Ok(())
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rotated = self.rotated(self.partial_rotary_factor);
        let rope = RopeConfig::new(rotated, self.rope_theta)
            .scaled(self.rope_scaling.as_ref(), None)
            .build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        Ok(Attention::load(self, layer, &weights, bias, residual)?.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("post_attention_layernorm", weights)?;
        let weights = weights.child("mlp");
        let (names, bias) = (MlpNames::UNGATED, self.mlp_bias);
        Mlp::load(self, &weights, names, bias, Activation::Relu2, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

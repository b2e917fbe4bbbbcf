//! Nemotron: layer norms whose weights are stored as offsets from one, partial RoPE, an MLP without a gate and with squared ReLU.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;
use serde_json::Value;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, MlpNames, Residual, RopeConfig,
    RopeScaling,
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
    fn dimensions(&self) -> Dimensions {
        self.decoder.dimensions(
            Some(self.num_key_value_heads),
            self.head_dim.filter(|head_dim| *head_dim > 0),
            self.max_position_embeddings,
        )
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

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.layer_norm_plus_one(name, self.decoder.hidden_size, self.norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rotated = (dims.head_dim as f64 * self.partial_rotary_factor) as usize;
        let rope = RopeConfig {
            scaling: self.rope_scaling.as_ref(),
            ..RopeConfig::new(rotated, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        Ok(Attention::load(layer, &weights, dims, bias, residual)?.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("post_attention_layernorm", weights)?);
        let (weights, dimensions) = (weights.child("mlp"), self.dimensions());
        let (names, activation) = (MlpNames::UNGATED, Activation::Relu2);
        Mlp::load(
            &weights,
            names,
            &dimensions,
            self.mlp_bias,
            activation,
            residual,
        )
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

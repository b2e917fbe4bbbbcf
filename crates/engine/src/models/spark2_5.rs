//! Spark 2.5: sliding windows and full attention, each with its own RoPE, and a sigmoid gate on the output of each head.

use std::collections::BTreeMap;

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderConfig, DecoderModel, DecoderNames, Mlp,
    NormKind, RopeConfig, Shape,
};

const ATTENTION: AttentionNames = AttentionNames::fused("q_k_v_proj", "out_proj");

const SLIDING: &str = "sliding_attention";
const FULL: &str = "full_attention";

/// `config.json` of a Spark 2.5 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    head_dim: usize,
    sliding_window: usize,
    /// By kind of layer.
    rope_parameters: BTreeMap<String, RopeParameters>,
    layer_types: Option<Vec<String>>,
    #[serde(default = "default_rms_norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "default_max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    hidden_act: Option<String>,
    gate_attn_act_mode: Option<String>,
    headwise_attn_output_gate: Option<bool>,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct RopeParameters {
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    #[serde(default = "default_partial_rotary_factor")]
    partial_rotary_factor: f64,
}

fn default_rms_norm_eps() -> f64 {
    1e-6
}

fn default_max_position_embeddings() -> usize {
    8192
}

fn default_partial_rotary_factor() -> f64 {
    1.0
}

impl Config {
    /// The kind of a layer; by default, three layers with a window are followed by one without.
    fn layer_type(&self, layer: usize) -> &str {
        match &self.layer_types {
            Some(kinds) => kinds.get(layer).map_or(FULL, String::as_str),
            None if layer % 4 == 3 => FULL,
            None => SLIDING,
        }
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        let (kv_heads, context) = (self.num_key_value_heads, self.max_position_embeddings);
        let dimensions = self.decoder.dimensions(kv_heads, self.head_dim, context);
        Shape::new(dimensions, NormKind::Rms(self.rms_norm_eps))
    }

    fn sliding_window(&self, layer: usize) -> Option<usize> {
        (self.layer_type(layer) == SLIDING).then_some(self.sliding_window)
    }

    fn check(&self) -> Result<(), String> {
        let layers = self.decoder.num_hidden_layers;
        if let Some(kinds) = &self.layer_types {
            if kinds.len() != layers {
                return Err(format!(
                    "`layer_types` has {} entries for {layers} layers",
                    kinds.len()
                ));
            }
            let unknown = kinds.iter().find(|kind| *kind != SLIDING && *kind != FULL);
            if let Some(kind) = unknown {
                return Err(format!(
                    "`layer_types` may contain {SLIDING} and {FULL}, not {kind}"
                ));
            }
        }
        for kind in (0..layers).map(|layer| self.layer_type(layer)) {
            let Some(parameters) = self.rope_parameters.get(kind) else {
                return Err(format!("`rope_parameters` must contain {kind}"));
            };
            let factor = parameters.partial_rotary_factor;
            if !(0.0..=1.0).contains(&factor) {
                return Err(format!(
                    "`rope_parameters.{kind}.partial_rotary_factor` must be at most 1, not {factor}"
                ));
            }
        }
        let only = |key: &str, value: &Option<String>, supported: &str| match value {
            Some(value) if value != supported => {
                Err(format!("`{key}` must be {supported}, not {value}"))
            }
            _ => Ok(()),
        };
        only("hidden_act", &self.hidden_act, "gelu")?;
        only("gate_attn_act_mode", &self.gate_attn_act_mode, "sigmoid")?;
        if self.headwise_attn_output_gate == Some(false) {
            return Err("`headwise_attn_output_gate` must be true".into());
        }
        Ok(())
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let parameters = &self.rope_parameters[self.layer_type(layer)];
        let rotated = self.rotated(parameters.partial_rotary_factor);
        let rope = RopeConfig::new(rotated, parameters.rope_theta).build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        let (hidden, heads) = (dims.hidden_size, dims.heads);
        let gate =
            weights.linear_with_optional_bias("g_proj", hidden, heads, self.attention_bias)?;
        let attention = Attention::load_named(self, layer, &weights, ATTENTION, bias, residual)?
            .with_sliding_window(self.sliding_window(layer));
        Ok(attention.with_gate(gate).with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("post_attention_layernorm", weights)?;
        let (weights, bias) = (weights.child("mlp"), self.mlp_bias);
        Mlp::gated_with_optional_bias(self, &weights, bias, Activation::Gelu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }

    fn names(&self) -> DecoderNames {
        DecoderNames {
            embed_tokens: "embedding",
            ..DecoderNames::default()
        }
    }

    /// Some conversions rename the embeddings.
    fn rename_tensors(&self, weights: &mut Weights) {
        if weights.contains("model.embedding.weight") {
            return;
        }
        weights.rename(|name| {
            Some(match name.strip_prefix("model.embed_tokens.") {
                Some(part) => format!("model.embedding.{part}"),
                None => name.to_owned(),
            })
        });
    }
}

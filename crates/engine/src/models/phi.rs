//! Phi-1 and Phi-2: attention and MLP in parallel after one layer norm, partial RoPE, biases everywhere.

use mlxm_kernels::{Activation, Linear, Norm};
use serde::Deserialize;

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderConfig, DecoderModel, DecoderNames, Mlp,
    MlpInputNames, MlpNames, Residual, RopeConfig,
};

const ATTENTION: AttentionNames = AttentionNames {
    o: "dense",
    ..AttentionNames::SEPARATE
};

const MLP: MlpNames = MlpNames {
    input: MlpInputNames::Ungated("fc1"),
    down: "fc2",
};

/// `config.json` of a Phi checkpoint. The defaults are the sizes of Phi-2.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    max_position_embeddings: usize,
    layer_norm_eps: f64,
    rope_theta: f64,
    partial_rotary_factor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vocab_size: 51_200,
            hidden_size: 2560,
            intermediate_size: 10_240,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            max_position_embeddings: 2048,
            layer_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            partial_rotary_factor: 0.4,
        }
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
        let context = Some(self.max_position_embeddings);
        decoder.dimensions(self.num_key_value_heads, None, context)
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.layer_norm(name, self.hidden_size, self.layer_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rotated = (dims.head_dim as f64 * self.partial_rotary_factor) as usize;
        let rope = RopeConfig::new(rotated, self.rope_theta).build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let bias = AttentionBias::All;
        let attention = Attention::load_named(layer, &weights, ATTENTION, dims, bias, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let (weights, dimensions) = (weights.child("mlp"), self.dimensions());
        Mlp::load(
            &weights,
            MLP,
            &dimensions,
            true,
            Activation::GeluTanh,
            residual,
        )
    }

    fn parallel_residual(&self) -> bool {
        true
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(false)
    }

    fn lm_head(&self, weights: &Scope<'_>) -> Result<Linear, LoadError> {
        weights.linear_with_bias("lm_head", self.hidden_size, self.vocab_size)
    }

    fn names(&self) -> DecoderNames {
        DecoderNames {
            norm: "final_layernorm",
            ..DecoderNames::default()
        }
    }
}

//! Phi-1 and Phi-2: attention and MLP in parallel after one layer norm, partial RoPE, biases everywhere.

use mlxm_kernels::Activation;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderConfig, DecoderModel, DecoderNames, Mlp,
    MlpNames, NormKind, RopeConfig, Shape,
};

const ATTENTION: AttentionNames = AttentionNames::SEPARATE.with_output("dense");

const MLP: MlpNames = MlpNames::ungated("fc1", "fc2");

/// `config.json` of a Phi checkpoint. Absent keys have the [`defaults`].
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: Option<usize>,
    max_position_embeddings: usize,
    layer_norm_eps: f64,
    rope_theta: f64,
    partial_rotary_factor: f64,
}

/// The sizes of Phi-2.
pub fn defaults() -> Value {
    json!({
        "vocab_size": 51_200, "hidden_size": 2560, "intermediate_size": 10_240, "num_hidden_layers": 32,
        "num_attention_heads": 32, "max_position_embeddings": 2048, "layer_norm_eps": 1e-5,
        "rope_theta": 10_000, "partial_rotary_factor": 0.4,
    })
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        let (kv_heads, context) = (self.num_key_value_heads, self.max_position_embeddings);
        let dimensions = self.decoder.dimensions(kv_heads, None, context);
        Shape::new(dimensions, NormKind::Layer(self.layer_norm_eps))
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rotated = self.rotated(self.partial_rotary_factor);
        let rope = RopeConfig::new(rotated, self.rope_theta).build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let bias = AttentionBias::All;
        let attention = Attention::load_named(self, layer, &weights, ATTENTION, bias, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("mlp");
        Mlp::with_biases(self, &weights, MLP, Activation::GeluTanh, residual)
    }

    fn parallel_residual(&self) -> bool {
        true
    }

    fn lm_head_bias(&self) -> bool {
        true
    }

    fn names(&self) -> DecoderNames {
        DecoderNames {
            norm: "final_layernorm",
            ..DecoderNames::default()
        }
    }
}

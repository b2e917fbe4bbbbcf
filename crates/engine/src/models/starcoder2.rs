//! StarCoder 2: layer norms, biases on all projections, an MLP without a gate.

use mlxm_kernels::Activation;
use serde::Deserialize;
use serde_json::{Value, json};

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, MlpNames, NormKind, RopeConfig,
    Shape,
};

/// `config.json` of a StarCoder 2 checkpoint. Absent keys have the [`defaults`].
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    norm_epsilon: f64,
    max_position_embeddings: Option<usize>,
    rope_theta: f64,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

const MLP: MlpNames = MlpNames::ungated("c_fc", "c_proj");

/// The keys that configurations do not have to state.
pub fn defaults() -> Value {
    json!({"vocab_size": 49_152, "norm_epsilon": 1e-5, "rope_theta": 100_000})
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        let (kv_heads, context) = (self.num_key_value_heads, self.max_position_embeddings);
        let dimensions = self.decoder.dimensions(kv_heads, None, context);
        Shape::new(dimensions, NormKind::Layer(self.norm_epsilon))
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rope = RopeConfig::new(self.head_dim(), self.rope_theta).build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let attention = Attention::load(self, layer, &weights, AttentionBias::All, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("post_attention_layernorm", weights)?;
        let weights = weights.child("mlp");
        Mlp::with_biases(self, &weights, MLP, Activation::Gelu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

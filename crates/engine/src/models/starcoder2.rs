//! StarCoder 2: layer norms, biases on all projections, an MLP without a gate.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, MlpInputNames, MlpNames, Residual,
    RopeConfig,
};

/// `config.json` of a StarCoder 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    #[serde(default = "default_norm_epsilon")]
    norm_epsilon: f64,
    #[serde(default = "default_vocab_size")]
    vocab_size: usize,
    max_position_embeddings: Option<usize>,
    #[serde(default = "default_rope_theta")]
    rope_theta: f64,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

const MLP_NAMES: MlpNames = MlpNames {
    input: MlpInputNames::Ungated("c_fc"),
    down: "c_proj",
};

fn default_norm_epsilon() -> f64 {
    1e-5
}

fn default_vocab_size() -> usize {
    49_152
}

fn default_rope_theta() -> f64 {
    100_000.0
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
        weights.layer_norm(name, self.hidden_size, self.norm_epsilon)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rope = RopeConfig::new(dims.head_dim, self.rope_theta).build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let attention = Attention::load(layer, &weights, dims, AttentionBias::All, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("post_attention_layernorm", weights)?);
        let weights = weights.child("mlp");
        let (dimensions, activation) = (self.dimensions(), Activation::Gelu);
        Mlp::load(&weights, MLP_NAMES, &dimensions, true, activation, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

//! StarCoder 2: layer norms, biases on all projections, an MLP without a gate.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{AttentionDims, Dimensions, Model, ModelConfig};
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, Layer, Mlp, Residual, RopeConfig,
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
    #[serde(default = "default_tie_word_embeddings")]
    tie_word_embeddings: bool,
}

fn default_norm_epsilon() -> f64 {
    1e-5
}

fn default_vocab_size() -> usize {
    49_152
}

fn default_rope_theta() -> f64 {
    100_000.0
}

fn default_tie_word_embeddings() -> bool {
    true
}

impl Config {
    fn decoder(&self) -> DecoderConfig {
        DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
        }
    }

    fn attention_dims(&self) -> AttentionDims {
        let decoder = self.decoder();
        decoder.attention_dims(self.num_key_value_heads, decoder.default_head_dim())
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.layer_norm(name, self.hidden_size, self.norm_epsilon)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.attention_dims();
        let rope = RopeConfig::new(dims.head_dim, self.rope_theta).build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let attention = Attention::load(layer, &weights, dims, AttentionBias::All, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("post_attention_layernorm", weights)?);
        let weights = weights.child("mlp");
        Ok(Mlp {
            residual,
            up: weights.linear_with_bias("c_fc", self.hidden_size, self.intermediate_size)?,
            down: weights.linear_with_bias("c_proj", self.intermediate_size, self.hidden_size)?,
            activation: Activation::Gelu,
        })
    }

    fn layer(&self, layer: usize, weights: &Scope<'_>) -> Result<Layer, LoadError> {
        Ok(Layer::plain(
            self.attention(layer, weights)?,
            self.mlp(weights)?,
        ))
    }
}

impl ModelConfig for Config {
    fn dimensions(&self) -> Dimensions {
        let longest = self.max_position_embeddings;
        self.decoder().dimensions(self.attention_dims(), longest)
    }

    fn sanitize(&self, weights: &mut Weights) {
        Decoder::sanitize(weights, self.tie_word_embeddings);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        let layer = |layer, weights: &Scope<'_>| self.layer(layer, weights);
        let norm = |name: &str, weights: &Scope<'_>| self.norm(name, weights);
        let tied = self.tie_word_embeddings;
        Ok(Box::new(Decoder::load(
            weights,
            &self.decoder(),
            tied,
            layer,
            norm,
        )?))
    }
}

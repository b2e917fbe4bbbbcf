//! Llama, and what is published with the same architecture (Mistral, SmolLM2 and many more). The configurations of models that
//! differ from it in defaults, biases or names only are converted to that of Llama.

use mlxm_kernels::{Activation, Linear, Norm};
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, DecoderConfig, DecoderModel, DecoderNames, LayerNames, Mlp, Residual,
    RopeConfig, RopeScaling,
};

/// `config.json` of a Llama checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    pub(super) decoder: DecoderConfig,
    pub(super) num_key_value_heads: Option<usize>,
    pub(super) head_dim: Option<usize>,
    pub(super) rms_norm_eps: f64,
    pub(super) max_position_embeddings: Option<usize>,
    #[serde(default)]
    pub(super) attention_bias: AttentionBias,
    #[serde(default)]
    pub(super) mlp_bias: bool,
    #[serde(default = "defaults::rope_theta")]
    pub(super) rope_theta: f64,
    #[serde(default)]
    pub(super) rope_traditional: bool,
    pub(super) rope_scaling: Option<RopeScaling>,
    #[serde(default = "defaults::tie_word_embeddings")]
    pub(super) tie_word_embeddings: bool,
    pub(super) layer_types: Option<Vec<String>>,
    pub(super) sliding_window: Option<usize>,
    /// The names of a Llama checkpoint, unless converted from another configuration.
    #[serde(skip)]
    pub(super) names: Names,
    #[serde(skip)]
    pub(super) lm_head_bias: bool,
    /// The part of each head that is rotated, by default all of it.
    #[serde(skip)]
    pub(super) partial_rotary_factor: Option<f64>,
}

/// The names of tensors, and of sizes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names {
    pub decoder: DecoderNames,
    pub layer: LayerNames,
    /// Keys of `config.json` by their name in that of Llama, where they differ.
    pub size_keys: &'static [(&'static str, &'static str)],
}

impl Config {
    /// A model without biases, with full attention, RoPE without scaling and an untied LM head.
    pub(super) fn new(decoder: DecoderConfig, rms_norm_eps: f64, rope_theta: f64) -> Self {
        Self {
            decoder,
            num_key_value_heads: None,
            head_dim: None,
            rms_norm_eps,
            max_position_embeddings: None,
            attention_bias: AttentionBias::None,
            mlp_bias: false,
            rope_theta,
            rope_traditional: false,
            rope_scaling: None,
            tie_word_embeddings: false,
            layer_types: None,
            sliding_window: None,
            names: Names::default(),
            lm_head_bias: false,
            partial_rotary_factor: None,
        }
    }
}

impl DecoderModel for Config {
    fn dimensions(&self) -> Dimensions {
        self.decoder.dimensions(
            self.num_key_value_heads,
            self.head_dim,
            self.max_position_embeddings,
        )
    }

    /// Only layers marked `sliding_attention` have a window, even if the configuration states one.
    fn sliding_window(&self, layer: usize) -> Option<usize> {
        let kind = self.layer_types.as_ref()?.get(layer)?;
        self.sliding_window.filter(|_| kind == "sliding_attention")
    }

    fn size_key(&self, name: &'static str) -> &'static str {
        let mut renamed = self.names.size_keys.iter();
        let found = renamed.find(|(known, _)| *known == name);
        found.map_or(name, |(_, key)| key)
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rotated = match self.partial_rotary_factor {
            Some(factor) => (dims.head_dim as f64 * factor) as usize,
            None => dims.head_dim,
        };
        let rope = RopeConfig {
            traditional: self.rope_traditional,
            scaling: self.rope_scaling.as_ref(),
            max_position_embeddings: self.max_position_embeddings,
            ..RopeConfig::new(rotated, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let names = self.names.layer;
        let residual = Residual::pre_norm(self.norm(names.input_norm, weights)?);
        let weights = weights.child(names.attention);
        let (projections, bias) = (names.attention_projections, self.attention_bias);
        let attention = Attention::load_named(layer, &weights, projections, dims, bias, residual)?;
        Ok(attention
            .with_sliding_window(self.sliding_window(layer))
            .with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let names = self.names.layer;
        let residual = Residual::pre_norm(self.norm(names.post_attention_norm, weights)?);
        let weights = weights.child(names.mlp);
        let (dimensions, bias) = (self.dimensions(), self.mlp_bias);
        let (projections, activation) = (names.mlp_projections, Activation::Silu);
        Mlp::load(
            &weights,
            projections,
            &dimensions,
            bias,
            activation,
            residual,
        )
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }

    fn lm_head(&self, weights: &Scope<'_>) -> Result<Linear, LoadError> {
        let (name, sizes) = (self.names.decoder.lm_head, self.decoder);
        let (inputs, outputs) = (sizes.hidden_size, sizes.vocab_size);
        weights.linear_with_optional_bias(name, inputs, outputs, self.lm_head_bias)
    }

    fn names(&self) -> DecoderNames {
        self.names.decoder
    }
}

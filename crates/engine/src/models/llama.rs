//! Llama, and what is published with the same architecture (Mistral, SmolLM2 and many more). The configurations of models that
//! differ from it in defaults, biases or names only are converted to that of Llama.

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, DecoderModel, DecoderNames, GroupedConfig, LayerNames, Mlp, RopeKeys,
    Shape,
};

/// `config.json` of a Llama checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    pub(super) sizes: GroupedConfig<Option<usize>, Option<usize>>,
    pub(super) max_position_embeddings: Option<usize>,
    #[serde(default)]
    pub(super) attention_bias: AttentionBias,
    #[serde(default)]
    pub(super) mlp_bias: bool,
    #[serde(flatten)]
    pub(super) rope: RopeKeys,
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
    /// A model without biases, with full attention and an untied LM head.
    pub(super) fn new<K, D>(sizes: GroupedConfig<K, D>, rope: RopeKeys) -> Self
    where
        K: Copy + Into<Option<usize>>,
        D: Copy + Into<Option<usize>>,
    {
        Self {
            sizes: sizes.optional(),
            max_position_embeddings: None,
            attention_bias: AttentionBias::None,
            mlp_bias: false,
            rope,
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
    fn shape(&self) -> Shape {
        self.sizes.shape(self.max_position_embeddings)
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

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rotated = match self.partial_rotary_factor {
            Some(factor) => self.rotated(factor),
            None => self.head_dim(),
        };
        let context = self.max_position_embeddings;
        let rope = self.rope.config(rotated, context).build(weights)?;
        let names = self.names.layer;
        let residual = self.pre_norm(names.input_norm, weights)?;
        let weights = weights.child(names.attention);
        let (projections, bias) = (names.attention_projections, self.attention_bias);
        let attention = Attention::load_named(self, layer, &weights, projections, bias, residual)?;
        Ok(attention
            .with_sliding_window(self.sliding_window(layer))
            .with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let names = self.names.layer;
        let residual = self.pre_norm(names.post_attention_norm, weights)?;
        let weights = weights.child(names.mlp);
        let (projections, bias) = (names.mlp_projections, self.mlp_bias);
        Mlp::load(
            self,
            &weights,
            projections,
            bias,
            Activation::Silu,
            residual,
        )
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }

    fn lm_head_bias(&self) -> bool {
        self.lm_head_bias
    }

    fn names(&self) -> DecoderNames {
        self.names.decoder
    }
}

//! StarCoder (GPT-BigCode): learned positions, layer norms, one key and value head, an MLP without a gate.

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, Decoder, DecoderConfig, DecoderModel, DecoderNames,
    Embedding, Mlp, MlpNames, NormKind, Shape,
};

const ATTENTION: AttentionNames = AttentionNames::fused("c_attn", "c_proj");

const MLP: MlpNames = MlpNames::ungated("c_fc", "c_proj");

/// `config.json` of a GPT-BigCode checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    vocab_size: usize,
    n_embd: usize,
    n_layer: usize,
    n_inner: usize,
    n_head: usize,
    n_positions: usize,
    layer_norm_epsilon: f64,
    #[serde(default = "default_true")]
    multi_query: bool,
    #[serde(default = "default_true")]
    attention_bias: bool,
    #[serde(default = "default_true")]
    mlp_bias: bool,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
    /// What is different in GPT-2.
    #[serde(skip)]
    pub(super) variant: Variant,
}

fn default_true() -> bool {
    true
}

/// What GPT-BigCode and GPT-2 do not state in their configurations.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    /// The scope of the decoder's parts.
    pub model: &'static str,
    /// Activation of the MLP.
    pub activation: Activation,
}

impl Default for Variant {
    fn default() -> Self {
        Self {
            model: "transformer",
            activation: Activation::Gelu,
        }
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        let (width, layers, heads) = (self.n_embd, self.n_layer, self.n_head);
        let decoder = DecoderConfig::new(self.vocab_size, width, self.n_inner, layers, heads);
        let kv_heads = self.multi_query.then_some(1);
        let dimensions = decoder.dimensions(kv_heads, None, self.n_positions);
        Shape::new(dimensions, NormKind::Layer(self.layer_norm_epsilon))
    }

    fn size_key(&self, name: &'static str) -> &'static str {
        defaults::gpt_size_key(name)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let residual = self.pre_norm("ln_1", weights)?;
        let weights = weights.child("attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        Attention::load_named(self, layer, &weights, ATTENTION, bias, residual)
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("ln_2", weights)?;
        let weights = weights.child("mlp");
        let (bias, activation) = (self.mlp_bias, self.variant.activation);
        Mlp::load(self, &weights, MLP, bias, activation, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }

    fn names(&self) -> DecoderNames {
        DecoderNames {
            model: self.variant.model,
            ..DecoderNames::GPT2
        }
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        let model = weights.child(self.variant.model);
        let positions = Embedding::load("wpe", &model, self.n_positions, self.n_embd)?;
        Ok(Decoder::load(self, weights)?.with_embed_positions(positions))
    }
}

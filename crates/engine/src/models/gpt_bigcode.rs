//! StarCoder (GPT-BigCode): learned positions, layer norms, one key and value head, an MLP without a gate.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, Decoder, DecoderConfig, DecoderModel, DecoderNames,
    Embedding, Mlp, MlpInputNames, MlpNames, QkvNames, Residual,
};

const ATTENTION: AttentionNames = AttentionNames {
    qkv: QkvNames::Fused("c_attn"),
    o: "c_proj",
};

const MLP: MlpNames = MlpNames {
    input: MlpInputNames::Ungated("c_fc"),
    down: "c_proj",
};

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
    fn dimensions(&self) -> Dimensions {
        let decoder = DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.n_embd,
            intermediate_size: self.n_inner,
            num_hidden_layers: self.n_layer,
            num_attention_heads: self.n_head,
        };
        let kv_heads = self.multi_query.then_some(1);
        decoder.dimensions(kv_heads, None, Some(self.n_positions))
    }

    fn size_key(&self, name: &'static str) -> &'static str {
        defaults::gpt_size_key(name)
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.layer_norm(name, self.n_embd, self.layer_norm_epsilon)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let residual = Residual::pre_norm(self.norm("ln_1", weights)?);
        let weights = weights.child("attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        Attention::load_named(layer, &weights, ATTENTION, dims, bias, residual)
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("ln_2", weights)?);
        let (weights, dimensions) = (weights.child("mlp"), self.dimensions());
        let (bias, activation) = (self.mlp_bias, self.variant.activation);
        Mlp::load(&weights, MLP, &dimensions, bias, activation, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }

    fn names(&self) -> DecoderNames {
        DecoderNames {
            model: self.variant.model,
            embed_tokens: "wte",
            layers: "h",
            norm: "ln_f",
            ..DecoderNames::default()
        }
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        let model = weights.child(self.variant.model);
        let positions = Embedding::load("wpe", &model, self.n_positions, self.n_embd)?;
        Ok(Decoder::load(self, weights)?.with_embed_positions(positions))
    }
}

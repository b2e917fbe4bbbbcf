//! GPT-J: attention without biases and MLP in parallel after one layer norm, partial RoPE of adjacent pairs, an LM head with a
//! bias.

use mlxm_kernels::{Activation, Linear, Norm};
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderConfig, DecoderModel, DecoderNames, Mlp,
    MlpInputNames, MlpNames, Residual, RopeConfig,
};

const ATTENTION: AttentionNames = AttentionNames {
    o: "out_proj",
    ..AttentionNames::SEPARATE
};

const MLP: MlpNames = MlpNames {
    input: MlpInputNames::Ungated("fc_in"),
    down: "fc_out",
};

/// `config.json` of a GPT-J checkpoint. The defaults are the sizes of the 6B model.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    vocab_size: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_positions: usize,
    layer_norm_epsilon: f64,
    /// Elements of a head that are rotated; 0 is all of them.
    rotary_dim: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vocab_size: 50_400,
            n_embd: 4096,
            n_layer: 28,
            n_head: 16,
            n_positions: 2048,
            layer_norm_epsilon: 1e-5,
            rotary_dim: 64,
        }
    }
}

impl DecoderModel for Config {
    fn dimensions(&self) -> Dimensions {
        let decoder = DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.n_embd,
            intermediate_size: self.n_embd.saturating_mul(4),
            num_hidden_layers: self.n_layer,
            num_attention_heads: self.n_head,
        };
        decoder.dimensions(None, None, Some(self.n_positions))
    }

    fn check(&self) -> Result<(), String> {
        let head_dim = self.dimensions().attention.head_dim;
        if self.rotary_dim > head_dim {
            return Err(format!(
                "`rotary_dim` ({}) must be at most the width of a head, `n_embd` / `n_head` ({head_dim})",
                self.rotary_dim
            ));
        }
        Ok(())
    }

    fn size_key(&self, name: &'static str) -> &'static str {
        defaults::gpt_size_key(name)
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.layer_norm(name, self.n_embd, self.layer_norm_epsilon)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rotated = match self.rotary_dim {
            0 => dims.head_dim,
            rotated => rotated,
        };
        let rope = RopeConfig {
            traditional: true,
            ..RopeConfig::new(rotated, defaults::rope_theta())
        };
        let rope = rope.build(weights)?;
        let residual = Residual::pre_norm(self.norm("ln_1", weights)?);
        let weights = weights.child("attn");
        let bias = AttentionBias::None;
        let attention = Attention::load_named(layer, &weights, ATTENTION, dims, bias, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("ln_1", weights)?);
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
        weights.linear_with_bias("lm_head", self.n_embd, self.vocab_size)
    }

    fn names(&self) -> DecoderNames {
        DecoderNames {
            embed_tokens: "wte",
            layers: "h",
            norm: "ln_f",
            ..DecoderNames::default()
        }
    }

    /// Drops masks, and renames `transformer` to `model`.
    fn rename_tensors(&self, weights: &mut Weights) {
        weights.rename(|name| {
            let is_mask = name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
            let renamed = match name.strip_prefix("transformer.") {
                Some(inner) => format!("model.{inner}"),
                None => name.to_owned(),
            };
            (!is_mask).then_some(renamed)
        });
    }
}

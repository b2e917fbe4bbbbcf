//! GPT-J: attention without biases and MLP in parallel after one layer norm, partial RoPE of adjacent pairs, an LM head with a
//! bias.

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderConfig, DecoderModel, DecoderNames, Mlp,
    MlpNames, NormKind, RopeConfig, Shape,
};

const ATTENTION: AttentionNames = AttentionNames::SEPARATE.with_output("out_proj");

const MLP: MlpNames = MlpNames::ungated("fc_in", "fc_out");

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
    fn shape(&self) -> Shape {
        let (width, layers, heads) = (self.n_embd, self.n_layer, self.n_head);
        let mlp = width.saturating_mul(4);
        let decoder = DecoderConfig::new(self.vocab_size, width, mlp, layers, heads);
        let dimensions = decoder.dimensions(None, None, self.n_positions);
        Shape::new(dimensions, NormKind::Layer(self.layer_norm_epsilon))
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

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rotated = match self.rotary_dim {
            0 => dims.head_dim,
            rotated => rotated,
        };
        let rope = RopeConfig::new(rotated, defaults::rope_theta())
            .traditional(true)
            .build(weights)?;
        let residual = self.pre_norm("ln_1", weights)?;
        let weights = weights.child("attn");
        let bias = AttentionBias::None;
        let attention = Attention::load_named(self, layer, &weights, ATTENTION, bias, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("ln_1", weights)?;
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
            model: "model",
            ..DecoderNames::GPT2
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

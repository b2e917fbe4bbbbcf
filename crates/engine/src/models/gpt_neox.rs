//! GPT-NeoX and Pythia: attention and MLP in parallel, each after its own layer norm, partial RoPE, biases everywhere but in the LM
//! head.

use mlxm_kernels::Activation;
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderConfig, DecoderModel, DecoderNames, Mlp,
    MlpNames, NormKind, RopeConfig, Shape,
};

const ATTENTION: AttentionNames = AttentionNames::fused_by_group("query_key_value", "dense");

const MLP: MlpNames = MlpNames::ungated("dense_h_to_4h", "dense_4h_to_h");

/// `config.json` of a GPT-NeoX checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    layer_norm_eps: f64,
    rotary_emb_base: f64,
    rotary_pct: f64,
    #[serde(default = "default_use_parallel_residual")]
    use_parallel_residual: bool,
}

fn default_use_parallel_residual() -> bool {
    true
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        let (width, layers) = (self.hidden_size, self.num_hidden_layers);
        let (mlp, heads) = (width.saturating_mul(4), self.num_attention_heads);
        let decoder = DecoderConfig::new(self.vocab_size, width, mlp, layers, heads);
        let dimensions = decoder.dimensions(None, None, self.max_position_embeddings);
        Shape::new(dimensions, NormKind::Layer(self.layer_norm_eps))
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rotated = self.rotated(self.rotary_pct);
        let rope = RopeConfig::new(rotated, self.rotary_emb_base).build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("attention");
        let bias = AttentionBias::All;
        let attention = Attention::load_named(self, layer, &weights, ATTENTION, bias, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("post_attention_layernorm", weights)?;
        let weights = weights.child("mlp");
        Mlp::with_biases(self, &weights, MLP, Activation::GeluTanh, residual)
    }

    fn parallel_residual(&self) -> bool {
        self.use_parallel_residual
    }

    fn names(&self) -> DecoderNames {
        DecoderNames {
            embed_tokens: "embed_in",
            layers: "h",
            norm: "final_layer_norm",
            lm_head: "model.embed_out",
            ..DecoderNames::default()
        }
    }

    /// Drops masks, and renames `gpt_neox.layers` to `model.h`, `gpt_neox` and everything else to `model`.
    fn rename_tensors(&self, weights: &mut Weights) {
        weights.rename(|name| {
            if name.ends_with(".attention.bias") || name.ends_with(".attention.masked_bias") {
                return None;
            }
            let name = name.strip_prefix("model.").unwrap_or(name);
            let name = match name.strip_prefix("gpt_neox.") {
                Some(inner) => match inner.strip_prefix("layers.") {
                    Some(layer) => format!("h.{layer}"),
                    None => inner.to_owned(),
                },
                None => name.to_owned(),
            };
            Some(format!("model.{name}"))
        });
    }
}

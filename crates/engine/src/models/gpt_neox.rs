//! GPT-NeoX and Pythia: attention and MLP in parallel, each after its own layer norm, partial RoPE, biases everywhere but in the LM
//! head.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderConfig, DecoderModel, DecoderNames, Mlp,
    MlpInputNames, MlpNames, QkvNames, Residual, RopeConfig,
};

const ATTENTION: AttentionNames = AttentionNames {
    qkv: QkvNames::FusedByGroup("query_key_value"),
    o: "dense",
};

const MLP: MlpNames = MlpNames {
    input: MlpInputNames::Ungated("dense_h_to_4h"),
    down: "dense_4h_to_h",
};

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
    fn dimensions(&self) -> Dimensions {
        let decoder = DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.hidden_size.saturating_mul(4),
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
        };
        decoder.dimensions(None, None, Some(self.max_position_embeddings))
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.layer_norm(name, self.hidden_size, self.layer_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rotated = (dims.head_dim as f64 * self.rotary_pct) as usize;
        let rope = RopeConfig::new(rotated, self.rotary_emb_base).build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("attention");
        let bias = AttentionBias::All;
        let attention = Attention::load_named(layer, &weights, ATTENTION, dims, bias, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("post_attention_layernorm", weights)?);
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
        self.use_parallel_residual
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(false)
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

//! EXAONE 4: norms after the blocks and on the heads of queries and keys; with sliding windows, only those layers use RoPE.

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::qwen3;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{Attention, AttentionBias, DecoderModel, Mlp, Shape};

/// `config.json` of an EXAONE 4 checkpoint: the keys of Qwen 3, and those of sliding windows.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    qwen3: qwen3::Config,
    sliding_window: Option<usize>,
    /// A letter per layer, repeated: `L` for a sliding window, `G` for full attention. Absent: full attention in all layers.
    sliding_window_pattern: Option<String>,
}

impl Config {
    /// The pattern, unless it is empty.
    fn pattern(&self) -> Option<&[u8]> {
        let pattern = self.sliding_window_pattern.as_ref()?.as_bytes();
        (!pattern.is_empty()).then_some(pattern)
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.qwen3.shape()
    }

    fn sliding_window(&self, layer: usize) -> Option<usize> {
        let pattern = self.pattern()?;
        self.sliding_window
            .filter(|_| pattern[layer % pattern.len()] == b'L')
    }

    fn check(&self) -> Result<(), String> {
        let Some(pattern) = self.pattern() else {
            return Ok(());
        };
        if pattern.iter().any(|letter| !b"LG".contains(letter)) {
            return Err("`sliding_window_pattern` must consist of `L` and `G`".into());
        }
        if self.sliding_window.is_none() {
            return Err("`sliding_window_pattern` needs `sliding_window`".into());
        }
        Ok(())
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let window = self.sliding_window(layer);
        let rope = self.qwen3.rope().build(weights)?;
        let residual = self.post_norm("post_attention_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let norms = self.qwen3.sizes.qk_norms(&weights)?;
        let attention = Attention::load(self, layer, &weights, AttentionBias::None, residual)?
            .with_sliding_window(window)
            .with_qk_norms(norms);
        Ok(if window.is_some() || self.pattern().is_none() {
            attention.with_rope(rope)
        } else {
            attention
        })
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.post_norm("post_feedforward_layernorm", weights)?;
        Mlp::gated(self, &weights.child("mlp"), Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        self.qwen3.tie_word_embeddings()
    }
}

//! EXAONE 4: norms after the blocks and on the heads of queries and keys; with sliding windows, only those layers use RoPE.

use mlxm_kernels::{Activation, Norm, QkNorms};
use serde::Deserialize;

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, Residual, RopeConfig, RopeScaling,
};

/// `config.json` of an EXAONE 4 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    head_dim: usize,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    rope_theta: f64,
    rope_scaling: Option<RopeScaling>,
    tie_word_embeddings: bool,
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
    fn dimensions(&self) -> Dimensions {
        self.decoder.dimensions(
            Some(self.num_key_value_heads),
            Some(self.head_dim),
            Some(self.max_position_embeddings),
        )
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

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let window = self.sliding_window(layer);
        let rope = RopeConfig {
            scaling: self.rope_scaling.as_ref(),
            max_position_embeddings: Some(self.max_position_embeddings),
            ..RopeConfig::new(dims.head_dim, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::post_norm(self.norm("post_attention_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let norms = QkNorms {
            q: weights.rms_norm("q_norm", dims.head_dim, self.rms_norm_eps)?,
            k: weights.rms_norm("k_norm", dims.head_dim, self.rms_norm_eps)?,
        };
        let attention = Attention::load(layer, &weights, dims, AttentionBias::None, residual)?
            .with_sliding_window(window)
            .with_qk_norms(norms);
        Ok(if window.is_some() || self.pattern().is_none() {
            attention.with_rope(rope)
        } else {
            attention
        })
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::post_norm(self.norm("post_feedforward_layernorm", weights)?);
        let weights = weights.child("mlp");
        Mlp::gated(&weights, &self.dimensions(), Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

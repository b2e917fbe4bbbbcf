//! The traits that a model implements: [`ModelConfig`], parsed from `config.json`, and [`Model`], built from it.

use std::fmt::Debug;

use candle_core::Tensor;
use mlxm_kernels::{AttentionSpec, KernelError, Kernels};
use mlxm_kvcache::GroupKind;

use super::{CacheLayer, Step};
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;

/// A decoder-only language model.
pub trait Model: Send {
    /// Hidden states `[T, hidden]` after the final norm of the tokens in `step`.
    ///
    /// # Errors
    /// When a kernel rejects its input.
    fn forward(&self, step: &mut Step<'_>) -> Result<Tensor, KernelError>;

    /// Logits `[rows, vocab]` of hidden states `[rows, hidden]`.
    ///
    /// # Errors
    /// When a kernel rejects its input.
    fn logits(&self, rows: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError>;
}

/// Sizes of a model.
#[derive(Debug, Clone, Copy)]
pub struct Dimensions {
    /// Width of a row of logits.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Width of the widest activation in a feed-forward block.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Sizes of an attention layer.
    pub attention: AttentionDims,
    /// Context length that the model was trained for, in tokens.
    pub max_position_embeddings: Option<usize>,
}

/// Sizes of an attention layer.
#[derive(Debug, Clone, Copy)]
pub struct AttentionDims {
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl AttentionDims {
    /// Full attention with scores scaled by `1 / sqrt(head_dim)`.
    pub fn spec(&self) -> AttentionSpec {
        AttentionSpec {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            value_dim: self.head_dim,
            scale: (self.head_dim as f32).powf(-0.5),
            softcap: None,
            window: None,
            sinks: None,
        }
    }

    /// Width of all query heads of a token.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads of a token, and of all value heads.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// The configuration of a model.
pub trait ModelConfig: Debug {
    /// Sizes.
    fn dimensions(&self) -> Dimensions;

    /// The sliding window of `layer` in tokens; `None` for full attention.
    fn sliding_window(&self, _layer: usize) -> Option<usize> {
        None
    }

    /// What each layer caches, in layer order.
    fn cache_layers(&self) -> Vec<CacheLayer> {
        let dimensions = self.dimensions();
        (0..dimensions.num_hidden_layers)
            .map(|layer| {
                let kind = match self.sliding_window(layer) {
                    Some(window) => GroupKind::SlidingWindow { window },
                    None => GroupKind::Full,
                };
                CacheLayer::new(kind, dimensions.attention)
            })
            .collect()
    }

    /// Checks that are specific to this model, in addition to the types and [`check_dimensions`](Self::check_dimensions).
    ///
    /// # Errors
    /// A message that names the field.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// A message that names the field.
    fn check_dimensions(&self) -> Result<(), String> {
        let dimensions = self.dimensions();
        let attention = dimensions.attention;
        let positive = [
            ("vocab_size", dimensions.vocab_size),
            ("hidden_size", dimensions.hidden_size),
            ("intermediate_size", dimensions.intermediate_size),
            ("num_hidden_layers", dimensions.num_hidden_layers),
            ("num_attention_heads", attention.heads),
            ("num_key_value_heads", attention.kv_heads),
            ("head_dim", attention.head_dim),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, size)| *size == 0) {
            return Err(format!("`{name}` must be positive"));
        }
        if !attention.heads.is_multiple_of(attention.kv_heads) {
            return Err(format!(
                "`num_attention_heads` ({}) must be a multiple of `num_key_value_heads` ({})",
                attention.heads, attention.kv_heads
            ));
        }
        Ok(())
    }

    /// Renames and removes tensors of unconverted or older checkpoints.
    fn sanitize(&self, weights: &mut Weights);

    /// Builds the model.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError>;
}

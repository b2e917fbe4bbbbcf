//! The decoder: embeddings, layers, final norm, LM head.

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels, Norm};
use serde::Deserialize;

use super::{Embedding, Layer, LmHead};
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{AttentionDims, Dimensions, Model, Step};

/// The sizes that most `config.json` files state, with these names and without defaults.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct DecoderConfig {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Width of the activations in a feed-forward block.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
}

impl DecoderConfig {
    /// `hidden_size / num_attention_heads`, the head width of configurations without `head_dim`.
    pub fn default_head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads.max(1)
    }

    /// Sizes of an attention layer.
    pub fn attention_dims(&self, num_key_value_heads: usize, head_dim: usize) -> AttentionDims {
        AttentionDims {
            hidden_size: self.hidden_size,
            heads: self.num_attention_heads,
            kv_heads: num_key_value_heads,
            head_dim,
        }
    }

    /// As [`attention_dims`](Self::attention_dims). The defaults are as many key and value heads as query heads, and
    /// [`default_head_dim`](Self::default_head_dim).
    pub fn attention_dims_or_default(
        &self,
        num_key_value_heads: Option<usize>,
        head_dim: Option<usize>,
    ) -> AttentionDims {
        self.attention_dims(
            num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim.unwrap_or_else(|| self.default_head_dim()),
        )
    }

    /// Sizes of a model with this attention.
    pub fn dimensions(
        &self,
        attention: AttentionDims,
        max_position_embeddings: Option<usize>,
    ) -> Dimensions {
        Dimensions {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            attention,
            max_position_embeddings,
        }
    }
}

/// The common decoder: embeddings, layers in sequence, final norm, LM head. Models with a different structure implement [`Model`]
/// themselves.
#[derive(Debug)]
pub struct Decoder {
    /// Token embeddings.
    pub embed_tokens: Embedding,
    /// Factor applied to the embeddings (Gemma, Granite).
    pub embedding_scale: Option<f32>,
    /// The layers, in order.
    pub layers: Vec<Layer>,
    /// The norm after the last layer.
    pub norm: Norm,
    /// Hidden states to logits.
    pub lm_head: LmHead,
}

impl Decoder {
    /// Loads `model.embed_tokens`, `model.layers.{index}`, `model.norm` and, unless tied to the embeddings, `lm_head`. `layer`
    /// loads a layer by index and scope, `norm` a norm by name and scope.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load(
        weights: &Scope<'_>,
        config: &DecoderConfig,
        tie_word_embeddings: bool,
        layer: impl Fn(usize, &Scope<'_>) -> Result<Layer, LoadError>,
        norm: impl Fn(&str, &Scope<'_>) -> Result<Norm, LoadError>,
    ) -> Result<Self, LoadError> {
        let (vocab_size, hidden_size) = (config.vocab_size, config.hidden_size);
        let model = weights.child("model");
        let embed_tokens = Embedding::load("embed_tokens", &model, vocab_size, hidden_size)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| layer(index, &model.child("layers").child(index)))
            .collect::<Result<_, _>>()?;
        let norm = norm("norm", &model)?;
        let lm_head = if tie_word_embeddings {
            LmHead::tied(&embed_tokens)
        } else {
            LmHead::untied(weights.linear("lm_head", hidden_size, vocab_size)?)
        };
        Ok(Self {
            embed_tokens,
            embedding_scale: None,
            layers,
            norm,
            lm_head,
        })
    }

    /// Multiplies the embeddings by `scale`.
    #[must_use]
    pub fn with_embedding_scale(self, scale: f32) -> Self {
        Self {
            embedding_scale: Some(scale),
            ..self
        }
    }

    /// Changes the LM head.
    #[must_use]
    pub fn map_lm_head(self, change: impl FnOnce(LmHead) -> LmHead) -> Self {
        Self {
            lm_head: change(self.lm_head),
            ..self
        }
    }

    /// Removes tensors of older exports that are not used: precomputed RoPE frequencies, and the LM head if it is tied to the
    /// embeddings.
    pub fn sanitize(weights: &mut Weights, tie_word_embeddings: bool) {
        weights.retain(|name| !name.contains("self_attn.rotary_emb.inv_freq"));
        if tie_word_embeddings {
            weights.remove("lm_head.weight");
        }
    }
}

impl Model for Decoder {
    fn forward(&self, step: &mut Step<'_>) -> Result<Tensor, KernelError> {
        let mut h = self.embed_tokens.forward(step.tokens(), step.kernels)?;
        if let Some(scale) = self.embedding_scale {
            h = step.kernels.scale(&h, scale)?;
        }
        for layer in &self.layers {
            h = layer.forward(&h, step)?;
        }
        step.kernels.norm(&h, &self.norm)
    }

    fn logits(&self, rows: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError> {
        self.lm_head.forward(rows, kernels)
    }
}

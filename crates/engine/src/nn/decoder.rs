//! The frame of a decoder: embeddings, layers, final norm, head.

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels, Norm};

use super::{Embedding, Layer, LmHead};
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::models::Model;
use crate::runtime::Step;

/// A decoder without anything between its layers. An architecture that has more implements [`Model`] itself.
#[derive(Debug)]
pub struct Decoder {
    /// Token embeddings.
    pub embed_tokens: Embedding,
    /// Factor of the embeddings (Gemma, Granite).
    pub embedding_scale: Option<f32>,
    /// The layers, in order.
    pub layers: Vec<Layer>,
    /// The norm behind the last layer.
    pub norm: Norm,
    /// Hidden rows to logits.
    pub head: LmHead,
}

/// What a decoder's frame is made of.
#[derive(Debug, Clone, Copy)]
pub struct DecoderConfig {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of a hidden row.
    pub hidden_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Whether the embedding table is also the head.
    pub tied: bool,
}

impl Decoder {
    /// Loads the parts under the names that nearly all checkpoints give them: `model.embed_tokens`, `model.layers.0`, …,
    /// `model.norm` and, unless it is tied, `lm_head`. `norm` is given the place `model`, `layer` the layer's own.
    ///
    /// # Errors
    /// When a tensor does not fit.
    pub fn load(
        weights: &Scope<'_>,
        config: DecoderConfig,
        norm: impl FnOnce(&Scope<'_>) -> Result<Norm, LoadError>,
        layer: impl Fn(usize, &Scope<'_>) -> Result<Layer, LoadError>,
    ) -> Result<Self, LoadError> {
        let DecoderConfig {
            vocab_size,
            hidden_size,
            layers,
            tied,
        } = config;
        let model = weights.child("model");
        let embed_tokens = model.embedding("embed_tokens", vocab_size, hidden_size)?;
        let scope = model.child("layers");
        let layers = (0..layers)
            .map(|index| layer(index, &scope.child(index)))
            .collect::<Result<_, _>>()?;
        let norm = norm(&model)?;
        let head = LmHead::load(weights, &embed_tokens, tied, hidden_size, vocab_size)?;
        Ok(Self {
            embed_tokens,
            embedding_scale: None,
            layers,
            norm,
            head,
        })
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
        self.head.forward(rows, kernels)
    }
}

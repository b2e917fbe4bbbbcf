//! The frame of a decoder: embeddings, layers, final norm, head.

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels};

use super::{Embedding, Head, Layer, Norm};
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
    pub head: Head,
}

impl Decoder {
    /// Builds `count` layers from `layers.0`, `layers.1`, … below `model`.
    ///
    /// # Errors
    /// When a tensor does not fit.
    pub fn layers(
        model: &Scope<'_>,
        count: usize,
        build: impl Fn(usize, &Scope<'_>) -> Result<Layer, LoadError>,
    ) -> Result<Vec<Layer>, LoadError> {
        let layers = model.child("layers");
        (0..count)
            .map(|layer| build(layer, &layers.child(layer)))
            .collect()
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
        self.norm.forward(&h, step.kernels)
    }

    fn head(&self, rows: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError> {
        self.head.forward(rows, kernels)
    }
}

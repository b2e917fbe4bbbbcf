//! A decoder layer: attention, then a feed-forward block.

use candle_core::Tensor;
use mlxm_kernels::KernelError;

use super::{Attention, GatedMlp, Mlp};
use crate::forward::Step;

/// The feed-forward block of a decoder layer.
#[derive(Debug)]
pub enum FeedForward {
    /// With a gate (GLU).
    Gated(GatedMlp),
    /// Without a gate.
    Plain(Mlp),
}

/// A decoder layer.
#[derive(Debug)]
pub struct Layer {
    /// The attention block.
    pub self_attn: Attention,
    /// The feed-forward block.
    pub feed_forward: FeedForward,
}

impl Layer {
    /// A layer with a gated MLP.
    pub fn gated(self_attn: Attention, mlp: GatedMlp) -> Self {
        Self {
            self_attn,
            feed_forward: FeedForward::Gated(mlp),
        }
    }

    /// A layer with an MLP without a gate.
    pub fn plain(self_attn: Attention, mlp: Mlp) -> Self {
        Self {
            self_attn,
            feed_forward: FeedForward::Plain(mlp),
        }
    }

    /// `[T, hidden]` → `[T, hidden]`.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn forward(&self, x: &Tensor, step: &mut Step<'_>) -> Result<Tensor, KernelError> {
        let h = self.self_attn.forward(x, step)?;
        match &self.feed_forward {
            FeedForward::Gated(mlp) => mlp.forward(&h, step.kernels),
            FeedForward::Plain(mlp) => mlp.forward(&h, step.kernels),
        }
    }
}

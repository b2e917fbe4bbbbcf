//! A decoder layer: attention, then a feed-forward block.

use candle_core::Tensor;
use mlxm_kernels::KernelError;

use super::{Attention, GatedMlp, Mlp};
use crate::runtime::Step;

/// The second half of a decoder layer.
#[derive(Debug)]
pub enum FeedForward {
    /// With a gate.
    Gated(GatedMlp),
    /// Without.
    Plain(Mlp),
}

/// Attention and feed-forward, one after the other.
#[derive(Debug)]
pub struct Layer {
    /// First half.
    pub self_attn: Attention,
    /// Second half.
    pub feed_forward: FeedForward,
}

impl Layer {
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

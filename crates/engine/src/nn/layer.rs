//! A decoder layer: attention, then an MLP.

use mlxm_kernels::{KernelError, Rows};

use super::{Attention, Mlp};
use crate::forward::Step;

/// A decoder layer.
#[derive(Debug)]
pub struct Layer {
    /// Attention with its norms and residual connection.
    pub self_attn: Attention,
    /// MLP with its norms and residual connection.
    pub mlp: Mlp,
}

impl Layer {
    /// `[T, hidden]` → `[T, hidden]`.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn forward(&self, x: &Rows, step: &mut Step<'_>) -> Result<Rows, KernelError> {
        let h = self.self_attn.forward(x, step)?;
        self.mlp.forward(&h, &mut step.pass)
    }
}

//! A decoder layer: attention, then an MLP.

use mlxm_kernels::{KernelError, Rows};

use super::{Attention, AttentionNames, Mlp, MlpNames};
use crate::forward::Step;

/// A decoder layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Attention with its norms and residual connection.
    pub self_attn: Attention,
    /// MLP with its norms and residual connection.
    pub mlp: Mlp,
    /// Whether the MLP reads the input of the attention instead of its output: `x + attention(x) + mlp(x)`.
    pub parallel_residual: bool,
}

impl Layer {
    /// `[T, hidden]` → `[T, hidden]`.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn forward(&self, x: &Rows, step: &mut Step<'_>) -> Result<Rows, KernelError> {
        let h = self.self_attn.forward(x, step)?;
        let mlp_input = if self.parallel_residual { x } else { &h };
        self.mlp.forward(mlp_input, &h, &mut step.pass)
    }
}

/// The names of a layer's parts in a checkpoint, if it has norms before its blocks.
#[derive(Debug, Clone, Copy)]
pub struct LayerNames {
    /// The norm before the attention.
    pub input_norm: &'static str,
    /// The scope of the attention.
    pub attention: &'static str,
    /// The projections of the attention.
    pub attention_projections: AttentionNames,
    /// The norm after the attention, before the MLP.
    pub post_attention_norm: &'static str,
    /// The scope of the MLP.
    pub mlp: &'static str,
    /// The projections of the MLP.
    pub mlp_projections: MlpNames,
}

impl Default for LayerNames {
    fn default() -> Self {
        Self {
            input_norm: "input_layernorm",
            attention: "self_attn",
            attention_projections: AttentionNames::SEPARATE,
            post_attention_norm: "post_attention_layernorm",
            mlp: "mlp",
            mlp_projections: MlpNames::GATED,
        }
    }
}

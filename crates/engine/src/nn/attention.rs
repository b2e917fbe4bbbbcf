//! Multi-head attention over the paged cache.

use candle_core::Tensor;
use mlxm_kernels::{AttentionSpec, KernelError, Linear, QkNorms, Rope};

use super::Residual;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::runtime::Step;

/// LmHead counts and width of an attention layer.
#[derive(Debug, Clone, Copy)]
pub struct AttentionDims {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl AttentionDims {
    /// Full attention with this scale of the scores.
    pub fn spec(&self, scale: f32) -> AttentionSpec {
        AttentionSpec {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            value_dim: self.head_dim,
            scale,
            softcap: None,
            window: None,
            sinks: None,
        }
    }

    /// Width of a row of queries.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of a row of keys or values.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// The projections into queries, keys and values.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per layer, built once and never moved"
)]
pub enum QkvProjection {
    /// Three weights.
    Separate {
        /// Queries `[heads·head_dim, hidden]`.
        q: Linear,
        /// Keys `[kv_heads·head_dim, hidden]`.
        k: Linear,
        /// Values `[kv_heads·head_dim, hidden]`.
        v: Linear,
    },
    /// One weight whose outputs are the queries, the keys, then the values (Phi-3).
    Fused(Linear),
}

impl QkvProjection {
    /// Loads `q_proj`, `k_proj` and `v_proj`.
    ///
    /// # Errors
    /// When a tensor does not fit.
    pub fn separate(
        weights: &Scope<'_>,
        hidden: usize,
        heads: AttentionDims,
        bias: bool,
    ) -> Result<Self, LoadError> {
        let linear = |name, outputs| weights.linear_with_optional_bias(name, hidden, outputs, bias);
        Ok(Self::Separate {
            q: linear("q_proj", heads.q_width())?,
            k: linear("k_proj", heads.kv_width())?,
            v: linear("v_proj", heads.kv_width())?,
        })
    }
}

/// What tells one attention layer from another.
#[derive(Debug)]
pub struct AttentionConfig {
    /// Index of the layer's cache.
    pub layer: usize,
    /// AttentionDims, scale, window and cap.
    pub spec: AttentionSpec,
    /// Rotation of queries and keys; `None` for layers without positions.
    pub rope: Option<Rope>,
}

/// Attention with its norms and residual.
#[derive(Debug)]
pub struct Attention {
    /// Norms and residual.
    pub residual: Residual,
    /// Input projections.
    pub qkv: QkvProjection,
    /// Norms of queries and keys.
    pub head_norms: Option<QkNorms>,
    /// Output projection.
    pub o: Linear,
    /// Shape, scale, rotation.
    pub config: AttentionConfig,
}

impl Attention {
    /// `[T, hidden]` → `[T, hidden]`; writes this step's keys and values into the layer's cache.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn forward(&self, x: &Tensor, step: &mut Step<'_>) -> Result<Tensor, KernelError> {
        let kernels = step.kernels;
        let linears: &[&Linear] = match &self.qkv {
            QkvProjection::Separate { q, k, v } => &[q, k, v],
            QkvProjection::Fused(all) => &[all],
        };
        let qkv = kernels.linear(x, self.residual.before(), linears)?;
        let h = step.attend(&self.config, self.head_norms.as_ref(), &qkv)?;
        self.residual.leave(x, &h, &self.o, kernels)
    }
}

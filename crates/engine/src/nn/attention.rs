//! Multi-head attention over the paged cache.

use candle_core::Tensor;
use mlxm_kernels::{AttentionSpec, KernelError, Kernels, Rope};

use super::{Linear, Norm, Residual};
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::runtime::Step;

/// Head counts and width of an attention layer.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl Heads {
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
        heads: Heads,
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

/// Norms of queries and keys before the rotation. A weight as long as a head normalizes each head, one as long as the
/// row the whole row.
#[derive(Debug)]
pub struct HeadNorms {
    /// Of the queries.
    pub q: Norm,
    /// Of the keys.
    pub k: Norm,
}

/// What tells one attention layer from another.
#[derive(Debug)]
pub struct AttentionConfig {
    /// Index of the layer's cache.
    pub layer: usize,
    /// Heads, scale, window and cap.
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
    pub head_norms: Option<HeadNorms>,
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
        let h = self.residual.enter(x, kernels)?;
        let (q, k, v) = self.project(&h, kernels)?;
        let (q, k) = match &self.head_norms {
            Some(norms) => (norms.q.forward(&q, kernels)?, norms.k.forward(&k, kernels)?),
            None => (q, k),
        };
        let (q, k) = match &self.config.rope {
            Some(rope) => {
                let (head_dim, positions) = (self.config.spec.head_dim, step.positions());
                (
                    kernels.rope(&q, head_dim, positions, rope)?,
                    kernels.rope(&k, head_dim, positions, rope)?,
                )
            }
            None => (q, k),
        };
        let h = step.attend(self.config.layer, &q, &k, &v, &self.config.spec)?;
        self.residual
            .leave(x, &self.o.forward(&h, kernels)?, kernels)
    }

    fn project(
        &self,
        h: &Tensor,
        kernels: &Kernels,
    ) -> Result<(Tensor, Tensor, Tensor), KernelError> {
        match &self.qkv {
            QkvProjection::Separate { q, k, v } => Ok((
                q.forward(h, kernels)?,
                k.forward(h, kernels)?,
                v.forward(h, kernels)?,
            )),
            QkvProjection::Fused(linear) => {
                let all = linear.forward(h, kernels)?;
                let spec = &self.config.spec;
                let k_start = spec.heads * spec.head_dim;
                let v_start = k_start + spec.kv_heads * spec.head_dim;
                let end = v_start + spec.kv_heads * spec.value_dim;
                Ok((
                    kernels.columns(&all, 0..k_start)?,
                    kernels.columns(&all, k_start..v_start)?,
                    kernels.columns(&all, v_start..end)?,
                ))
            }
        }
    }
}

//! Multi-head attention over the paged KV cache.

use mlxm_kernels::{KernelError, Linear, QkNorms, Rope, Rows};

use super::Residual;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::{AttentionConfig, AttentionDims, Step};

/// The query, key and value projections.
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
    /// When a tensor has the wrong shape or element type.
    pub fn separate(
        weights: &Scope<'_>,
        dims: AttentionDims,
        bias: bool,
    ) -> Result<Self, LoadError> {
        let linear = |name, outputs| {
            weights.linear_with_optional_bias(name, dims.hidden_size, outputs, bias)
        };
        Ok(Self::Separate {
            q: linear("q_proj", dims.q_width())?,
            k: linear("k_proj", dims.kv_width())?,
            v: linear("v_proj", dims.kv_width())?,
        })
    }

    /// Loads `qkv_proj`.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn fused(weights: &Scope<'_>, dims: AttentionDims) -> Result<Self, LoadError> {
        let outputs = dims.q_width() + 2 * dims.kv_width();
        Ok(Self::Fused(weights.linear(
            "qkv_proj",
            dims.hidden_size,
            outputs,
        )?))
    }
}

/// Which projections of an attention layer have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionBias {
    /// None.
    None,
    /// Queries, keys and values (Qwen 2).
    Qkv,
    /// Queries, keys, values and the output.
    All,
}

impl AttentionBias {
    /// The meaning of `attention_bias` in `config.json`: all projections or none.
    pub fn all_if(attention_bias: bool) -> Self {
        if attention_bias {
            Self::All
        } else {
            Self::None
        }
    }
}

/// Attention with its norms and residual connection.
#[derive(Debug)]
pub struct Attention {
    /// Norms and residual connection.
    pub residual: Residual,
    /// Input projections.
    pub qkv: QkvProjection,
    /// Norms of queries and keys, applied before RoPE.
    pub qk_norms: Option<QkNorms>,
    /// Output projection.
    pub o: Linear,
    /// Sizes, scale and rotary embedding.
    pub config: AttentionConfig,
}

impl Attention {
    /// Loads `q_proj`, `k_proj`, `v_proj` and `o_proj` of layer `layer`. Full attention with scores scaled by
    /// `1 / sqrt(head_dim)` and no positional embedding, unless changed by the `with_` methods.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load(
        layer: usize,
        weights: &Scope<'_>,
        dims: AttentionDims,
        bias: AttentionBias,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        let qkv = QkvProjection::separate(weights, dims, bias != AttentionBias::None)?;
        Self::with_qkv(
            layer,
            weights,
            dims,
            qkv,
            bias == AttentionBias::All,
            residual,
        )
    }

    /// As [`load`](Self::load), without biases and with `qkv_proj` instead of three separate projections.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load_fused(
        layer: usize,
        weights: &Scope<'_>,
        dims: AttentionDims,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        let qkv = QkvProjection::fused(weights, dims)?;
        Self::with_qkv(layer, weights, dims, qkv, false, residual)
    }

    fn with_qkv(
        layer: usize,
        weights: &Scope<'_>,
        dims: AttentionDims,
        qkv: QkvProjection,
        output_bias: bool,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        let (inputs, outputs) = (dims.q_width(), dims.hidden_size);
        Ok(Self {
            residual,
            qkv,
            qk_norms: None,
            o: weights.linear_with_optional_bias("o_proj", inputs, outputs, output_bias)?,
            config: AttentionConfig {
                layer,
                spec: dims.spec(),
                rope: None,
            },
        })
    }

    /// Adds a rotary embedding.
    #[must_use]
    pub fn with_rope(mut self, rope: Rope) -> Self {
        self.config.rope = Some(rope);
        self
    }

    /// Removes the positional embedding (NoPE).
    #[must_use]
    pub fn without_rope(mut self) -> Self {
        self.config.rope = None;
        self
    }

    /// Scales the scores by `scale` instead of `1 / sqrt(head_dim)`.
    #[must_use]
    pub fn with_scale(mut self, scale: f32) -> Self {
        self.config.spec.scale = scale;
        self
    }

    /// Softcaps the scores: `cap·tanh(score / cap)`.
    #[must_use]
    pub fn with_softcap(mut self, cap: f32) -> Self {
        self.config.spec.softcap = Some(cap);
        self
    }

    /// Restricts attention to the last `window` tokens; `None` is full attention.
    #[must_use]
    pub fn with_sliding_window(mut self, window: Option<usize>) -> Self {
        self.config.spec.window = window;
        self
    }

    /// Normalizes queries and keys before RoPE.
    #[must_use]
    pub fn with_qk_norms(mut self, norms: QkNorms) -> Self {
        self.qk_norms = Some(norms);
        self
    }

    /// `[T, hidden]` → `[T, hidden]`. Writes the keys and values of this step into the layer's cache.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn forward(&self, x: &Rows, step: &mut Step<'_>) -> Result<Rows, KernelError> {
        let linears: &[&Linear] = match &self.qkv {
            QkvProjection::Separate { q, k, v } => &[q, k, v],
            QkvProjection::Fused(qkv) => &[qkv],
        };
        let qkv = step.pass.linear(x, self.residual.pre(), linears)?;
        let h = step.attend(&self.config, self.qk_norms.as_ref(), &qkv)?;
        drop(qkv);
        self.residual.add(x, &h, &self.o, &mut step.pass)
    }
}

//! Multi-head attention over the paged KV cache.

use mlxm_kernels::{KernelError, Linear, Norm, QkNorms, Rope, Rows};
use serde::Deserialize;

use super::{DecoderModel, Residual};
use crate::checkpoint::{RowOrder, Scope};
use crate::error::LoadError;
use crate::forward::{AttentionConfig, AttentionDims, Step};

/// The query, key and value projections.
#[derive(Debug, Clone)]
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
    /// Loads the projections called `names`, with biases if `bias` is set.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load(
        weights: &Scope<'_>,
        names: QkvNames,
        dims: AttentionDims,
        bias: bool,
    ) -> Result<Self, LoadError> {
        let (inputs, q, kv) = (dims.hidden_size, dims.q_width(), dims.kv_width());
        let linear = |name, outputs| weights.linear_with_optional_bias(name, inputs, outputs, bias);
        Ok(match names {
            QkvNames::Separate([query, key, value]) => Self::Separate {
                q: linear(query, q)?,
                k: linear(key, kv)?,
                v: linear(value, kv)?,
            },
            QkvNames::Fused(name) => Self::Fused(linear(name, q + 2 * kv)?),
            QkvNames::FusedByGroup(name) => {
                let (outputs, order) = (q + 2 * kv, order_by_kind(dims));
                Self::Fused(weights.reordered_linear(name, inputs, outputs, bias, &order)?)
            }
        })
    }
}

/// Queries, keys, then values, of projections that are stored by key and value head. A block is a head.
fn order_by_kind(dims: AttentionDims) -> RowOrder {
    let queries = dims.heads / dims.kv_heads;
    let head = |group: usize, index: usize| group * (queries + 2) + index;
    let groups = 0..dims.kv_heads;
    let q = (0..dims.heads).map(|query| head(query / queries, query % queries));
    let k = groups.clone().map(|group| head(group, queries));
    let v = groups.map(|group| head(group, queries + 1));
    RowOrder {
        blocks: q.chain(k).chain(v).collect(),
    }
}

/// The names of the query, key and value projections.
#[derive(Debug, Clone, Copy)]
pub enum QkvNames {
    /// Queries, keys and values.
    Separate([&'static str; 3]),
    /// One weight whose outputs are the queries, the keys, then the values.
    Fused(&'static str),
    /// One weight with the outputs of one key and value head after the other: its queries, its key, its value (InternLM 2,
    /// GPT-NeoX). They are reordered when they are loaded.
    FusedByGroup(&'static str),
}

/// The names of the projections of an attention layer.
#[derive(Debug, Clone, Copy)]
pub struct AttentionNames {
    /// Input projections.
    pub qkv: QkvNames,
    /// Output projection.
    pub o: &'static str,
}

impl AttentionNames {
    /// `q_proj`, `k_proj`, `v_proj` and `o_proj`.
    pub const SEPARATE: Self = Self {
        qkv: QkvNames::Separate(["q_proj", "k_proj", "v_proj"]),
        o: "o_proj",
    };

    /// `qkv_proj` and `o_proj`.
    pub const FUSED: Self = Self::fused("qkv_proj", "o_proj");

    /// `qkv`, as [`QkvNames::Fused`], and `o`.
    pub const fn fused(qkv: &'static str, o: &'static str) -> Self {
        let qkv = QkvNames::Fused(qkv);
        Self { qkv, o }
    }

    /// `qkv`, as [`QkvNames::FusedByGroup`], and `o`.
    pub const fn fused_by_group(qkv: &'static str, o: &'static str) -> Self {
        let qkv = QkvNames::FusedByGroup(qkv);
        Self { qkv, o }
    }

    /// These names, with `o` for the output projection.
    #[must_use]
    pub const fn with_output(self, o: &'static str) -> Self {
        Self { o, ..self }
    }
}

/// Which projections of an attention layer have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "bool")]
pub enum AttentionBias {
    /// None.
    #[default]
    None,
    /// Queries, keys and values (Qwen 2).
    Qkv,
    /// The output.
    Output,
    /// Queries, keys, values and the output.
    All,
}

impl AttentionBias {
    /// The meaning of `attention_bias` in most configurations: all projections or none.
    pub fn all_if(attention_bias: bool) -> Self {
        Self::of(attention_bias, attention_bias)
    }

    /// Biases of queries, keys and values, or none.
    pub fn qkv_if(bias: bool) -> Self {
        if bias { Self::Qkv } else { Self::None }
    }

    /// Biases of queries, keys and values, and of the output.
    pub fn of(qkv: bool, output: bool) -> Self {
        match (qkv, output) {
            (false, false) => Self::None,
            (true, false) => Self::Qkv,
            (false, true) => Self::Output,
            (true, true) => Self::All,
        }
    }

    fn has_qkv(self) -> bool {
        matches!(self, Self::Qkv | Self::All)
    }

    fn has_output(self) -> bool {
        matches!(self, Self::Output | Self::All)
    }
}

impl From<bool> for AttentionBias {
    fn from(attention_bias: bool) -> Self {
        Self::all_if(attention_bias)
    }
}

/// The norms `q_norm` of queries and `k_norm` of keys, which `load` loads by name.
///
/// # Errors
/// Those of `load`.
pub fn qk_norms(
    load: impl Fn(&'static str) -> Result<Norm, LoadError>,
) -> Result<QkNorms, LoadError> {
    Ok(QkNorms {
        q: load("q_norm")?,
        k: load("k_norm")?,
    })
}

/// Attention with its norms and residual connection.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Norms and residual connection.
    pub residual: Residual,
    /// Input projections.
    pub qkv: QkvProjection,
    /// Norms of queries and keys, applied before RoPE unless [`Rope::before_norms`] is set.
    pub qk_norms: Option<QkNorms>,
    /// Output gate: the output of each head is multiplied by the sigmoid of an element of this projection of the input.
    pub gate: Option<Linear>,
    /// Output projection.
    pub o: Linear,
    /// Sizes, scale and rotary embedding.
    pub config: AttentionConfig,
}

impl Attention {
    /// Loads `q_proj`, `k_proj`, `v_proj` and `o_proj` of layer `layer` of `model`. Full attention with scores scaled by
    /// `1 / sqrt(head_dim)` and no positional embedding, unless changed by the `with_` methods.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load(
        model: &impl DecoderModel,
        layer: usize,
        weights: &Scope<'_>,
        bias: AttentionBias,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        let names = AttentionNames::SEPARATE;
        Self::load_named(model, layer, weights, names, bias, residual)
    }

    /// As [`load`](Self::load), from projections with other names.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load_named(
        model: &impl DecoderModel,
        layer: usize,
        weights: &Scope<'_>,
        names: AttentionNames,
        bias: AttentionBias,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        let dims = model.dimensions().attention;
        let qkv = QkvProjection::load(weights, names.qkv, dims, bias.has_qkv())?;
        let (inputs, outputs) = (dims.q_width(), dims.hidden_size);
        let o = weights.linear_with_optional_bias(names.o, inputs, outputs, bias.has_output())?;
        Ok(Self::new(layer, dims, qkv, o, residual))
    }

    /// The attention of layer `layer` with these projections, otherwise as [`load`](Self::load).
    pub fn new(
        layer: usize,
        dims: AttentionDims,
        qkv: QkvProjection,
        o: Linear,
        residual: Residual,
    ) -> Self {
        Self {
            residual,
            qkv,
            qk_norms: None,
            gate: None,
            o,
            config: AttentionConfig {
                layer,
                spec: dims.spec(),
                rope: None,
            },
        }
    }

    /// Adds a rotary embedding.
    #[must_use]
    pub fn with_rope(mut self, rope: Rope) -> Self {
        self.config.rope = Some(rope);
        self
    }

    /// Changes the rotary embedding, if there is one.
    #[must_use]
    pub fn map_rope(mut self, change: impl FnOnce(&mut Rope)) -> Self {
        self.config.rope.as_mut().map(change);
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

    /// Normalizes queries and keys, before RoPE unless [`Rope::before_norms`] is set.
    #[must_use]
    pub fn with_qk_norms(mut self, norms: QkNorms) -> Self {
        self.qk_norms = Some(norms);
        self
    }

    /// Multiplies the output of each head by the sigmoid of an element of `gate` `[heads, hidden]`, a projection of the input.
    #[must_use]
    pub fn with_gate(mut self, gate: Linear) -> Self {
        self.gate = Some(gate);
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
        let mut h = step.attend(&self.config, self.qk_norms.as_ref(), &qkv)?;
        drop(qkv);
        if let Some(gate) = &self.gate {
            let gate = step.pass.linear(x, self.residual.pre(), &[gate])?;
            h = step.pass.sigmoid_gate(&h, &gate)?;
        }
        self.residual.add(x, &h, &self.o, &mut step.pass)
    }
}

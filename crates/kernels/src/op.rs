//! An operation whose operands have been checked.

use crate::{
    Activation, AttentionSpec, Indices, KvCache, Linear, Norm, QkNorms, RopeCosSin, Rows, Slots,
    Spans, Weight,
};

/// What a backend computes, encodes or counts. Methods of [`crate::Pass`] describe the operations; handles are those of
/// the pass.
#[derive(Debug)]
pub(crate) enum Op<'a> {
    Linear {
        name: &'static str,
        x: &'a Rows,
        /// Applied to `x` first.
        norm: Option<&'a Norm>,
        /// Outputs are concatenated along the columns.
        linears: &'a [&'a Linear],
        epilogue: Epilogue<'a>,
    },
    Embed {
        ids: Indices,
        table: &'a Weight,
    },
    Norm {
        x: &'a Rows,
        norm: &'a Norm,
        /// The result is `residual + scale · norm(x)`.
        residual: Option<(&'a Rows, f32)>,
    },
    RopeAndCache {
        qkv: &'a Rows,
        spec: &'a AttentionSpec,
        norms: Option<&'a QkNorms>,
        rope_cos_sin: Option<RopeCosSin>,
        cache: &'a mut KvCache,
        slots: Slots,
    },
    Elementwise {
        x: &'a Rows,
        function: Function,
    },
    Binary {
        x: &'a Rows,
        /// As many rows as `x`. An element is an operand of `x.width() / y.width()` consecutive columns.
        y: &'a Rows,
        function: BinaryFunction,
    },
    GatherRows {
        x: &'a Rows,
        indices: Indices,
    },
    Argmax {
        x: &'a Rows,
    },
    Attention {
        q: &'a Rows,
        cache: &'a KvCache,
        spans: Spans,
        spec: &'a AttentionSpec,
    },
}

impl Op<'_> {
    /// The method of [`crate::Pass`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear { name, .. } => name,
            Self::Embed { .. } => "embed",
            Self::Norm { residual: None, .. } => "norm",
            Self::Norm { .. } => "add_normed",
            Self::RopeAndCache { .. } => "rope_and_cache",
            Self::Elementwise { function, .. } => match function {
                Function::Scale(_) => "scale",
                Function::Softcap(_) => "softcap",
            },
            Self::Binary { function, .. } => match function {
                BinaryFunction::Add => "add",
                BinaryFunction::SigmoidGate => "sigmoid_gate",
            },
            Self::GatherRows { .. } => "gather_rows",
            Self::Argmax { .. } => "argmax",
            Self::Attention { .. } => "attention",
        }
    }
}

/// What is computed from a linear layer's result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Epilogue<'a> {
    /// `y`.
    Store,
    /// `activation(y)`.
    Activation(Activation),
    /// `activation(y) · up`, where the second half of the outputs is `up`.
    Glu(Activation),
    /// `residual + scale · y`.
    ResidualAdd { residual: &'a Rows, scale: f32 },
}

/// An element-wise function.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Function {
    /// `factor · x`.
    Scale(f32),
    /// `cap · tanh(x / cap)`.
    Softcap(f32),
}

/// An element-wise function of two operands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BinaryFunction {
    /// `x + y`.
    Add,
    /// `x · sigmoid(y)`.
    SigmoidGate,
}

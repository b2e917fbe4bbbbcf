//! Parameters of linear layers.

use crate::{Param, Weight};

/// `x · weightᵀ + bias`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Weight,
    /// `[outputs]`.
    pub bias: Option<Param>,
}

/// The gate and up projections of a gated feed-forward block (GLU).
#[derive(Clone, Copy, Debug)]
pub enum GateUp<'a> {
    /// The gate projection, then the up projection.
    Separate(&'a Linear, &'a Linear),
    /// Both in one weight, the gate first.
    Fused(&'a Linear),
}

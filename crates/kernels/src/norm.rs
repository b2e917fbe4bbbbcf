//! Parameters of a normalization.

use crate::Param;

/// A normalization of each row, or of each group of columns.
#[derive(Clone, Debug)]
pub enum Norm {
    /// `x / √(mean(x²) + eps) · weight`, for each `weight.len()` columns (the whole row without a weight).
    Rms {
        /// Factors, one per column.
        weight: Option<Param>,
        /// Prevents division by zero for a row of zeros.
        eps: f32,
    },
    /// `(x − mean) / √(variance + eps) · weight + bias`, with the mean and variance of each of `groups` equal parts of the
    /// row.
    Layer {
        /// Factors, one per column of the row.
        weight: Option<Param>,
        /// Offsets, one per column of the row.
        bias: Option<Param>,
        /// 1 for the whole row; the number of heads for norms of queries and keys that have weights of their own for
        /// each head.
        groups: usize,
        /// Prevents division by zero for a constant row.
        eps: f32,
    },
}

impl Norm {
    /// An RMS norm with a weight.
    pub fn rms(weight: Param, eps: f64) -> Self {
        Self::Rms {
            weight: Some(weight),
            eps: eps as f32,
        }
    }

    /// A layer norm with a weight.
    pub fn layer(weight: Param, bias: Option<Param>, eps: f64) -> Self {
        Self::Layer {
            weight: Some(weight),
            bias,
            groups: 1,
            eps: eps as f32,
        }
    }

    /// A layer norm without parameters.
    pub fn layer_without_weight(eps: f64) -> Self {
        Self::Layer {
            weight: None,
            bias: None,
            groups: 1,
            eps: eps as f32,
        }
    }

    /// A layer norm of each of `heads` heads, with a weight for all of them.
    pub fn layer_per_head(weight: Param, heads: usize, eps: f64) -> Self {
        Self::Layer {
            weight: Some(weight),
            bias: None,
            groups: heads,
            eps: eps as f32,
        }
    }

    /// Columns that a weight is for, in rows of `width`. An RMS norm normalizes them together.
    pub(crate) fn normalized_size(&self, width: usize) -> usize {
        match self {
            Self::Rms {
                weight: Some(weight),
                ..
            } => weight.len(),
            _ => width,
        }
    }
}

/// Norms of queries and keys, before RoPE unless [`crate::Rope::before_norms`] is set. The weight of an RMS norm
/// normalizes each head if it is as long as a head, and the whole row if it is as long as the row.
#[derive(Clone, Debug)]
pub struct QkNorms {
    /// Of the queries.
    pub q: Norm,
    /// Of the keys.
    pub k: Norm,
}

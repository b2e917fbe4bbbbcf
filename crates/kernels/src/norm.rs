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
    /// `(x − mean) / √(variance + eps) · weight + bias` of the whole row.
    Layer {
        /// Factors, one per column.
        weight: Option<Param>,
        /// Offsets, one per column.
        bias: Option<Param>,
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
            eps: eps as f32,
        }
    }

    /// Columns that are normalized together, in rows of `width`.
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

/// Norms of queries and keys before RoPE. A weight as long as a head normalizes each head, one as long as the row
/// normalizes the whole row.
#[derive(Clone, Debug)]
pub struct QkNorms {
    /// Of the queries.
    pub q: Norm,
    /// Of the keys.
    pub k: Norm,
}

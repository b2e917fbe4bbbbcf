//! Parameters of a normalization.

use crate::Param;

/// What a row, or each stretch of it, is normalized by.
#[derive(Clone, Debug)]
pub enum Norm {
    /// `x / √(mean(x²) + eps) · weight`, for each stretch of `weight.len()` columns (the whole row without a weight).
    Rms {
        /// Factors, one per column.
        weight: Option<Param>,
        /// Keeps a row of zeros from a division by zero.
        eps: f32,
    },
    /// `(x − mean) / √(variance + eps) · weight + bias` of the whole row.
    Layer {
        /// Factors, one per column.
        weight: Option<Param>,
        /// Summands, one per column.
        bias: Option<Param>,
        /// Keeps a constant row from a division by zero.
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

    /// Columns of a stretch that is normalized by itself, in rows of `width`.
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

/// Norms of queries and keys before the rotation. A weight as long as a head normalizes each head, one as long as the row
/// the whole row.
#[derive(Clone, Debug)]
pub struct QkNorms {
    /// Of the queries.
    pub q: Norm,
    /// Of the keys.
    pub k: Norm,
}

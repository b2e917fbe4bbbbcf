//! Errors of making a weight or a parameter.

use crate::quant::{FloatType, QuantError, QuantSpec, ScaleType};

/// Why a [`Weight`](crate::Weight) or a [`Param`](crate::Param) cannot be made from the given bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightError {
    /// The weight has no rows or no columns.
    #[error("a weight of {rows} rows and {cols} columns is empty")]
    Empty {
        /// Rows (output features).
        rows: usize,
        /// Columns (input features).
        cols: usize,
    },
    /// A part of the weight has the wrong size for its shape.
    #[error(
        "the {part} of a weight of {rows} rows and {cols} columns ({format}) take {expected} bytes, found {found}"
    )]
    Size {
        /// `values`, `packed values`, `scales` or `biases`.
        part: &'static str,
        /// Rows (output features).
        rows: usize,
        /// Columns (input features).
        cols: usize,
        /// Float type or quantized format.
        format: String,
        /// Bytes that the shape needs.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The columns are not a whole number of groups.
    #[error("{cols} columns are not a multiple of the group size {group_size} ({spec})")]
    Groups {
        /// Columns (input features).
        cols: usize,
        /// Values per group.
        group_size: usize,
        /// The format.
        spec: QuantSpec,
    },
    /// The format is not one of MLX's.
    #[error(transparent)]
    Format(#[from] QuantError),
    /// The scales have a type that the mode does not use.
    #[error("{spec} has {expected} scales, found {found}")]
    ScaleType {
        /// The format.
        spec: QuantSpec,
        /// The kind of scales that the mode uses.
        expected: &'static str,
        /// The type given.
        found: ScaleType,
    },
    /// Affine without biases, or biases in a mode that has none.
    #[error("{spec} {}", if spec.has_biases() { "needs biases in addition to its scales, found none" } else { "has no biases, found some" })]
    Biases {
        /// The format.
        spec: QuantSpec,
    },
    /// A global scale in a mode that has none.
    #[error("{spec} has no global scale (only nvfp4 does), found one")]
    GlobalScale {
        /// The format.
        spec: QuantSpec,
    },
    /// The bytes of a float tensor are not a whole number of elements.
    #[error("{found} bytes are not a whole number of {float} values")]
    Param {
        /// The element type.
        float: FloatType,
        /// Bytes given.
        found: usize,
    },
}

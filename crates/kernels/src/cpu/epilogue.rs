//! The epilogue of a linear layer: bias, activation, gating and residual, applied while the result is in the cache.

use super::{
    math,
    simd::{Isa, multiversion},
};
use crate::Activation;

/// Outputs that the epilogue processes at a time.
pub(crate) const BLOCK_OUTPUTS: usize = 64;

/// What is computed from a linear layer's result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Epilogue<'a> {
    /// `y`.
    Store,
    /// `activation(y)`.
    Activation(Activation),
    /// `activation(y) · up`.
    Glu(Activation),
    /// `residual + scale · y`.
    ResidualAdd { residual: &'a [f32], scale: f32 },
}

/// A block of products and its output.
pub(crate) struct Block<'a> {
    pub rows: usize,
    pub cols: usize,
    /// Products, `stride` elements from row to row.
    pub values: *const f32,
    /// Products of the up projection, for [`Epilogue::Glu`].
    pub up: *const f32,
    pub stride: usize,
    /// Added to each row of `values`.
    pub bias: Option<&'a [f32]>,
    pub up_bias: Option<&'a [f32]>,
    /// Index of the first element of the output in the residual.
    pub index: usize,
    /// Output, `out_stride` elements from row to row. Rows of the residual have the same length.
    pub out: *mut f32,
    pub out_stride: usize,
}

multiversion! {
    /// Writes the output of a block.
    pub(crate) apply [] [] (epilogue: Epilogue<'_>, block: &Block<'_>) = apply_with
}

/// # Safety
/// The CPU supports `I`. For every row of the block, `cols` values are initialized at `values`, and for
/// [`Epilogue::Glu`] at `up`, and `cols` values are writable at `out`, aligned for f32. No other thread writes the
/// former or accesses the latter.
#[inline(always)]
unsafe fn apply_with<I: Isa>(epilogue: Epilogue<'_>, block: &Block<'_>) {
    for row in 0..block.rows {
        for col in (0..block.cols).step_by(BLOCK_OUTPUTS) {
            // SAFETY: the contract of this function; row and columns are inside the block.
            unsafe {
                match BLOCK_OUTPUTS.min(block.cols - col) {
                    // A constant length for the common case, so that the loops are unrolled.
                    BLOCK_OUTPUTS => apply_to_row::<I>(epilogue, block, row, col, BLOCK_OUTPUTS),
                    len => apply_to_row::<I>(epilogue, block, row, col, len),
                }
            }
        }
    }
}

/// Processes `len` columns of a row, at most [`BLOCK_OUTPUTS`], from `col` on.
///
/// # Safety
/// As for [`apply_with`]; row and columns are inside the block.
#[inline(always)]
unsafe fn apply_to_row<I: Isa>(
    epilogue: Epilogue<'_>,
    block: &Block<'_>,
    row: usize,
    col: usize,
    len: usize,
) {
    let mut values = [0.0; BLOCK_OUTPUTS];
    let mut results = [0.0; BLOCK_OUTPUTS];
    let at = row * block.stride + col;
    let (values, results) = (&mut values[..len], &mut results[..len]);
    // SAFETY: the contract of this function: row and columns are inside the block, whose pointers are valid for them.
    // `values` and `results` are local.
    unsafe {
        copy(block.values.add(at), values);
        add(values, block.bias, col);
        let out = block.out.add(row * block.out_stride + col);
        match epilogue {
            Epilogue::Store => store(values, out),
            Epilogue::Activation(activation) => {
                math::activate::<I>(activation, values, results);
                store(results, out);
            }
            Epilogue::Glu(activation) => {
                math::activate::<I>(activation, values, results);
                copy(block.up.add(at), values);
                add(values, block.up_bias, col);
                for (result, up) in results.iter_mut().zip(values) {
                    *result *= *up;
                }
                store(results, out);
            }
            Epilogue::ResidualAdd { residual, scale } => {
                let residual = &residual[block.index + row * block.out_stride + col..][..len];
                for (value, residual) in values.iter_mut().zip(residual) {
                    *value = I::fma1(*value, scale, *residual);
                }
                store(values, out);
            }
        }
    }
}

/// # Safety
/// `from` is aligned, readable for `to.len()` elements, and does not overlap `to`.
#[inline(always)]
unsafe fn copy(from: *const f32, to: &mut [f32]) {
    // SAFETY: the contract of this function.
    unsafe { to.as_mut_ptr().copy_from_nonoverlapping(from, to.len()) }
}

/// # Safety
/// `to` is aligned, writable for `from.len()` elements, and does not overlap `from`.
#[inline(always)]
unsafe fn store(from: &[f32], to: *mut f32) {
    // SAFETY: the contract of this function.
    unsafe { to.copy_from_nonoverlapping(from.as_ptr(), from.len()) }
}

#[inline(always)]
fn add(values: &mut [f32], bias: Option<&[f32]>, col: usize) {
    if let Some(bias) = bias {
        for (value, bias) in values.iter_mut().zip(&bias[col..]) {
            *value += bias;
        }
    }
}

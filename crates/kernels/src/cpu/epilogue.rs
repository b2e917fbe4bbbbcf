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

/// A block of results and its destination.
pub(crate) struct Block<'a> {
    pub rows: usize,
    pub cols: usize,
    /// Results, `stride` elements from row to row.
    pub values: *const f32,
    /// The up results, for [`Epilogue::Glu`].
    pub up: *const f32,
    pub stride: usize,
    /// Added to each row of `values`.
    pub bias: Option<&'a [f32]>,
    pub up_bias: Option<&'a [f32]>,
    /// Index of the first result in the output, and of the residual that belongs to it.
    pub index: usize,
    /// Results, `out_stride` from row to row; the residual's rows are as long.
    pub out: *mut f32,
    pub out_stride: usize,
}

multiversion! {
    /// Writes the output of a block.
    ///
    /// The block's pointers are valid for its rows and columns; biases and residual reach as far.
    pub(crate) apply [] [] (epilogue: Epilogue<'_>, block: &Block<'_>) = apply_with
}

/// # Safety
/// As for [`apply`]; the caller has enabled the instructions of `I`.
#[inline(always)]
unsafe fn apply_with<I: Isa>(epilogue: Epilogue<'_>, block: &Block<'_>) {
    for row in 0..block.rows {
        for col in (0..block.cols).step_by(BLOCK_OUTPUTS) {
            // SAFETY: the contract of this function.
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

/// Processes the `len` columns of a row from `col` on.
///
/// # Safety
/// As for [`apply_with`]; row and columns are inside the block, and `len` is at most [`BLOCK_OUTPUTS`].
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
    // SAFETY: the contract of this function.
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
/// `from` is readable for `to.len()` elements and does not overlap `to`.
#[inline(always)]
unsafe fn copy(from: *const f32, to: &mut [f32]) {
    // SAFETY: the contract of this function: as many values are readable.
    unsafe { to.as_mut_ptr().copy_from_nonoverlapping(from, to.len()) }
}

/// # Safety
/// `to` is writable for `from.len()` elements and does not overlap `from`.
#[inline(always)]
unsafe fn store(from: &[f32], to: *mut f32) {
    // SAFETY: the contract of this function: as many values are writable.
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

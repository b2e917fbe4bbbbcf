//! What is done with the products of a weight before they leave the cache.

use super::{
    math,
    simd::{Isa, multiversion},
};
use crate::Activation;

/// Outputs that are finished together.
pub(crate) const BLOCK_OUTPUTS: usize = 64;

/// What becomes of products.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Epilogue<'a> {
    /// `product`.
    Store,
    /// `activation(product)`.
    Activation(Activation),
    /// `activation(product) · product up it`.
    Glu(Activation),
    /// `residual + scale · product`.
    ResidualAdd { residual: &'a [f32], scale: f32 },
}

/// Products, and where they go.
pub(crate) struct Block<'a> {
    pub rows: usize,
    pub cols: usize,
    /// Products, `stride` from row to row.
    pub values: *const f32,
    /// The products up them, for [`Epilogue::Glu`].
    pub up: *const f32,
    pub stride: usize,
    /// Added to each row of products.
    pub bias: Option<&'a [f32]>,
    pub up_bias: Option<&'a [f32]>,
    /// Index of the first result in the output, and of the residual that belongs to it.
    pub index: usize,
    /// Results, `out_stride` from row to row; the residual's rows are as long.
    pub out: *mut f32,
    pub out_stride: usize,
}

multiversion! {
    /// Writes the results of a block.
    ///
    /// # Safety
    /// The block's pointers are valid for its rows and columns; biases and residual reach as far.
    pub(crate) apply [] [] (epilogue: Epilogue<'_>, block: &Block<'_>) = apply_with
}

#[inline(always)]
unsafe fn apply_with<I: Isa>(epilogue: Epilogue<'_>, block: &Block<'_>) {
    for row in 0..block.rows {
        for col in (0..block.cols).step_by(BLOCK_OUTPUTS) {
            // SAFETY: the caller's promise.
            unsafe {
                match BLOCK_OUTPUTS.min(block.cols - col) {
                    // A length that the compiler knows: most strips are full.
                    BLOCK_OUTPUTS => apply_to_row::<I>(epilogue, block, row, col, BLOCK_OUTPUTS),
                    len => apply_to_row::<I>(epilogue, block, row, col, len),
                }
            }
        }
    }
}

/// Finishes the `len` columns from `col` on of a row.
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
    // SAFETY: the caller's promise.
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

#[inline(always)]
unsafe fn copy(from: *const f32, to: &mut [f32]) {
    // SAFETY: the caller's promise that as many values are readable.
    unsafe { to.as_mut_ptr().copy_from_nonoverlapping(from, to.len()) }
}

#[inline(always)]
unsafe fn store(from: &[f32], to: *mut f32) {
    // SAFETY: the caller's promise that as many values are writable.
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

//! Activations quantized to int8.

use std::sync::Arc;

use crate::{
    KernelError,
    cpu::simd::{Isa, SimdLevel, multiversion},
    rows::Arena,
    shared::Scratch,
};

/// Padding after each row, so that the same column of many rows does not map to the same cache set.
const ROW_PADDING: usize = 64;
/// The largest magnitude of a quantized value.
const MAX_CODE: f32 = 127.0;
/// Groups with no larger magnitude are quantized to zero, since their scale could not be inverted.
const MIN_ABS_MAX: f32 = 1e-30;

/// Rows of activations, `x ≈ step · q` with one step per group of columns. Threads write one row each.
#[derive(Debug)]
pub(crate) struct QuantizedRows {
    rows: usize,
    cols: usize,
    group: usize,
    values: Scratch<i8>,
    /// For each row and group `step`, then `step · Σ q`.
    factors: Scratch<f32>,
}

impl QuantizedRows {
    /// Takes memory for `rows` rows of `cols` columns, a multiple of `group`.
    pub fn new(
        arena: &Arc<Arena>,
        rows: usize,
        cols: usize,
        group: usize,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            rows,
            cols,
            group,
            values: Scratch::new(arena, rows * stride(cols))?,
            factors: Scratch::new(arena, rows * factors_per_row(cols, group))?,
        })
    }

    /// Columns that share a step.
    pub fn group(&self) -> usize {
        self.group
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Values from one row to the next.
    pub fn stride(&self) -> usize {
        stride(self.cols)
    }

    /// Factors from one row to the next.
    pub fn factors_per_row(&self) -> usize {
        factors_per_row(self.cols, self.group)
    }

    /// Pointer to the values of `row`; the rows after it follow.
    pub fn values(&self, row: usize) -> *const i8 {
        assert!(row < self.rows);
        self.values.pointer(row * self.stride())
    }

    /// Pointer to the factors of `row`; the rows after it follow.
    pub fn factors(&self, row: usize) -> *const f32 {
        assert!(row < self.rows);
        self.factors.pointer(row * self.factors_per_row())
    }

    /// Quantizes `x` into `row`.
    ///
    /// # Panics
    /// If `x` does not have `cols` values, or the row does not exist.
    ///
    /// # Safety
    /// The CPU supports `level`, and no other thread accesses the row.
    pub unsafe fn quantize(&self, level: SimdLevel, row: usize, x: &[f32]) {
        assert!(x.len() == self.cols && row < self.rows);
        let values = self.values.pointer(row * self.stride());
        let factors = self.factors.pointer(row * self.factors_per_row());
        // SAFETY: the contract of this function; the row exists by the assertion and has room for `cols` values and
        // two factors for each group.
        unsafe { quantize(level, x, self.group, values, factors) }
    }
}

fn stride(cols: usize) -> usize {
    (cols + ROW_PADDING).next_multiple_of(ROW_PADDING)
}

fn factors_per_row(cols: usize, group: usize) -> usize {
    2 * (cols / group)
}

multiversion! {
    /// Writes `x.len()` values and two factors for each group.
    quantize [] [] (x: &[f32], group: usize, values: *mut i8, factors: *mut f32) = quantize_with
}

/// # Safety
/// The CPU supports `I`. `values` is writable for `x.len()` values, and `factors`, which is aligned, for two per
/// group. They do not overlap `x`, and no other thread accesses them.
#[inline(always)]
unsafe fn quantize_with<I: Isa>(x: &[f32], group: usize, values: *mut i8, factors: *mut f32) {
    // Adding and subtracting this constant rounds to the nearest integer, ties to even.
    const ROUND: f32 = 12_582_912.0;
    for (index, x) in x.chunks_exact(group).enumerate() {
        // As bits, NaN is the largest of all: it then makes the step, and so every product, NaN.
        let largest = x
            .iter()
            .fold(0, |largest, x| largest.max(x.to_bits() & 0x7fff_ffff));
        let largest = f32::from_bits(largest);
        let (step, inverse) = if largest < MIN_ABS_MAX {
            (0.0, 0.0)
        } else {
            (largest / MAX_CODE, MAX_CODE / largest)
        };
        let mut sum = 0;
        for (place, x) in x.iter().enumerate() {
            let bits = (x * inverse + ROUND).to_bits() as i32;
            let value = bits.wrapping_sub(ROUND.to_bits() as i32) as i8;
            sum += i32::from(value);
            // SAFETY: the contract of this function; the index is below `x.len()`.
            unsafe { values.add(index * group + place).write(value) }
        }
        // SAFETY: the contract of this function; `index` is a group.
        unsafe {
            factors.add(2 * index).write(step);
            factors.add(2 * index + 1).write(step * sum as f32);
        }
    }
}

//! Products with dense and quantized weights.
//!
//! Lane `i` of a dot product sums the columns `i, i + 16, i + 32, …` in that order, and the lanes are folded in one
//! order; so a row's result does not depend on which of the two ways below computes it:
//! - few rows: packed weights stream by once and are multiplied as they are unpacked;
//! - many rows: some weight rows are unpacked into scratch memory and used for every activation row.

use std::{cell::RefCell, ops::Range};

use super::{
    Cpu,
    format::{Format, Packed, with_format},
    shared::SharedOutput,
    simd::{Isa, LANES, load_part, versions},
};
use crate::Matrix;

/// Activation rows up to which weights are unpacked into registers, not into scratch memory.
const FEW_ROWS: usize = 4;
/// Scratch memory of one thread for unpacked weights, in floats: half of a small level-2 cache.
const SCRATCH_FLOATS: usize = 48 * 1024;
/// Weight rows unpacked at most, and a multiple of every tile's rows.
const BLOCK_ROWS: usize = 48;
const TILE_ROWS: usize = 6;
/// Weights that are worth handing to another thread.
const TASK_WEIGHTS: usize = 32 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

struct Job<'a> {
    packed: Packed<'a>,
    /// `[rows, cols]`.
    x: &'a [f32],
    rows: usize,
    cols: usize,
    bias: Option<&'a [f32]>,
    /// `[rows, outputs]`.
    out: SharedOutput<'a>,
    outputs: usize,
}

/// `x · wᵀ + bias` for `x` of `[rows, w.cols()]`.
pub(crate) fn linear(cpu: &Cpu, x: &[f32], w: &Matrix, bias: Option<&[f32]>) -> Vec<f32> {
    let (rows, outputs) = (x.len() / w.cols(), w.rows());
    let mut out = vec![0.0; rows * outputs];
    let job = Job {
        packed: Packed::new(w),
        x,
        rows,
        cols: w.cols(),
        bias,
        out: SharedOutput::new(&mut out),
        outputs,
    };
    let few = rows <= FEW_ROWS;
    let per_task = if few {
        (TASK_WEIGHTS / job.cols).clamp(8, 512).next_multiple_of(8)
    } else {
        (SCRATCH_FLOATS / job.cols / TILE_ROWS * TILE_ROWS).clamp(TILE_ROWS, BLOCK_ROWS)
    };
    cpu.pool.parallel_for(outputs.div_ceil(per_task), &|task| {
        let range = task * per_task..outputs.min((task + 1) * per_task);
        SCRATCH.with_borrow_mut(|scratch| {
            // SAFETY: the level was detected; tasks write disjoint columns of the output.
            unsafe {
                with_format!(w, F => match rows {
                    0 => {}
                    1 => few_rows::<F, 1>(cpu.level, &job, range, scratch),
                    2 => few_rows::<F, 2>(cpu.level, &job, range, scratch),
                    3 => few_rows::<F, 3>(cpu.level, &job, range, scratch),
                    4 => few_rows::<F, 4>(cpu.level, &job, range, scratch),
                    _ => {
                        unpack::<F>(cpu.level, &job.packed, job.cols, range.clone(), scratch);
                        many_rows(cpu.level, &job, range, scratch);
                    }
                });
            }
        });
    });
    out
}

/// Row `row` of `table`, widened.
pub(crate) fn dequantize_row(cpu: &Cpu, table: &Matrix, row: usize, out: &mut [f32]) {
    SCRATCH.with_borrow_mut(|scratch| {
        let packed = Packed::new(table);
        // SAFETY: the level was detected.
        unsafe {
            with_format!(table, F => unpack::<F>(cpu.level, &packed, table.cols(), row..row + 1, scratch));
        }
        out.copy_from_slice(&scratch[..out.len()]);
    });
}

versions! {
    /// Multiplies `M` activation rows with the weight rows `range`.
    few_rows [F: Format, const M: usize] [F, M]
    (job: &Job<'_>, range: Range<usize>, scratch: &mut Vec<f32>) = few_rows_with
}

versions! {
    /// Unpacks weight rows into `scratch`, each padded with zeros to a multiple of sixteen.
    unpack [F: Format] [F]
    (packed: &Packed<'_>, cols: usize, range: Range<usize>, scratch: &mut Vec<f32>) = unpack_with
}

versions! {
    /// Multiplies all activation rows with the unpacked weight rows `range`.
    many_rows [] [] (job: &Job<'_>, range: Range<usize>, scratch: &[f32]) = many_rows_with
}

#[inline(always)]
unsafe fn few_rows_with<I: Isa, F: Format, const M: usize>(
    job: &Job<'_>,
    range: Range<usize>,
    scratch: &mut Vec<f32>,
) {
    scratch.resize(8 * job.packed.groups, 0.0);
    let mut n = range.start;
    // SAFETY: the caller's promise; `n + R` stays inside of the range.
    unsafe {
        if I::WIDE || M == 1 {
            while n + 4 <= range.end {
                dot_rows::<I, F, M, 4>(job, n, scratch);
                n += 4;
            }
        } else {
            while n + 2 <= range.end {
                dot_rows::<I, F, M, 2>(job, n, scratch);
                n += 2;
            }
        }
        while n < range.end {
            dot_rows::<I, F, M, 1>(job, n, scratch);
            n += 1;
        }
    }
}

/// `M` activation rows with the weight rows `n .. n + R`, unpacked as they are read.
#[inline(always)]
unsafe fn dot_rows<I: Isa, F: Format, const M: usize, const R: usize>(
    job: &Job<'_>,
    n: usize,
    scratch: &mut [f32],
) {
    let packed = &job.packed;
    let groups = packed.groups;
    let (scales, biases) = scratch.split_at_mut(4 * groups);
    let mut from = [std::ptr::null(); R];
    for r in 0..R {
        from[r] = packed.row(n + r);
        let range = r * groups..(r + 1) * groups;
        packed.scales(n + r, &mut scales[range.clone()], &mut biases[range]);
    }
    let x = job.x.as_ptr();
    // SAFETY: a row of the weight is `groups · units_per_group` units and `tail` values long, and `job.x` has `M` rows
    // of as many values.
    unsafe {
        let mut sums = [[I::splat(0.0); R]; M];
        let mut k = 0;
        for g in 0..groups {
            let mut group = [F::group::<I>(0.0, 0.0); R];
            for r in 0..R {
                group[r] = F::group::<I>(
                    *scales.get_unchecked(r * groups + g),
                    *biases.get_unchecked(r * groups + g),
                );
            }
            for _ in 0..packed.units_per_group {
                let mut weights = [I::splat(0.0); R];
                for r in 0..R {
                    weights[r] = F::unit::<I>(group[r], from[r]);
                    from[r] = from[r].add(F::UNIT_BYTES);
                }
                for m in 0..M {
                    let x = I::load(x.add(m * job.cols + k));
                    for r in 0..R {
                        sums[m][r] = I::fma(weights[r], x, sums[m][r]);
                    }
                }
                k += LANES;
            }
        }
        if packed.tail > 0 {
            for r in 0..R {
                let weights = unit_part::<I, F>(from[r], packed.tail);
                for m in 0..M {
                    let x = load_part::<I>(x.add(m * job.cols + k), packed.tail);
                    sums[m][r] = I::fma(weights, x, sums[m][r]);
                }
            }
        }
        finish::<I, M, R>(job, 0, n, sums);
    }
}

/// The `count` values behind the last whole unit of a dense row, zeros behind them.
#[inline(always)]
unsafe fn unit_part<I: Isa, F: Format>(from: *const u8, count: usize) -> I::V {
    let mut bytes = [0_u32; LANES];
    let size = (count * F::UNIT_BYTES / LANES).min(size_of_val(&bytes));
    // SAFETY: `count` values are readable.
    unsafe {
        std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr().cast(), size);
        F::unit::<I>(F::group::<I>(1.0, 0.0), bytes.as_ptr().cast())
    }
}

/// Folds the sums of `M` rows and `R` outputs and stores them.
#[inline(always)]
unsafe fn finish<I: Isa, const M: usize, const R: usize>(
    job: &Job<'_>,
    t: usize,
    n: usize,
    sums: [[I::V; R]; M],
) {
    for m in 0..M {
        for r in 0..R {
            let bias = job.bias.map_or(0.0, |bias| bias[n + r]);
            // SAFETY: the caller's promise; this thread alone writes the column.
            unsafe {
                let sum = I::sum(sums[m][r]) + bias;
                job.out.write((t + m) * job.outputs + n + r, sum);
            }
        }
    }
}

#[inline(always)]
unsafe fn unpack_with<I: Isa, F: Format>(
    packed: &Packed<'_>,
    cols: usize,
    range: Range<usize>,
    scratch: &mut Vec<f32>,
) {
    let stride = cols.next_multiple_of(LANES);
    let groups = packed.groups;
    let end = range.len() * stride;
    scratch.resize(end + 2 * groups, 0.0);
    let (values, scales) = scratch.split_at_mut(end);
    let (scales, biases) = scales.split_at_mut(groups);
    for (row, values) in range.zip(values.chunks_exact_mut(stride)) {
        packed.scales(row, scales, biases);
        let mut from = packed.row(row);
        let mut to = values.as_mut_ptr();
        // SAFETY: a row of the weight is `groups · units_per_group` units and `tail` values long, `values` no shorter.
        unsafe {
            for g in 0..groups {
                let group = F::group::<I>(scales[g], biases[g]);
                for _ in 0..packed.units_per_group {
                    I::store(to, F::unit::<I>(group, from));
                    from = from.add(F::UNIT_BYTES);
                    to = to.add(LANES);
                }
            }
            if packed.tail > 0 {
                I::store(to, unit_part::<I, F>(from, packed.tail));
            }
        }
    }
}

#[inline(always)]
unsafe fn many_rows_with<I: Isa>(job: &Job<'_>, range: Range<usize>, weights: &[f32]) {
    // SAFETY: the caller's promise.
    unsafe {
        if I::WIDE {
            block::<I, 4, TILE_ROWS>(job, range, weights);
        } else {
            block::<I, 2, 3>(job, range, weights);
        }
    }
}

/// Covers all activation rows and the weight rows `range` with tiles of `M` by `R`.
#[inline(always)]
unsafe fn block<I: Isa, const M: usize, const R: usize>(
    job: &Job<'_>,
    range: Range<usize>,
    weights: &[f32],
) {
    let mut t = 0;
    // SAFETY: the tiles stay inside of the rows and the range.
    unsafe {
        while t + M <= job.rows {
            strip::<I, M, R>(job, t, range.clone(), weights);
            t += M;
        }
        while t < job.rows {
            strip::<I, 1, R>(job, t, range.clone(), weights);
            t += 1;
        }
    }
}

#[inline(always)]
unsafe fn strip<I: Isa, const M: usize, const R: usize>(
    job: &Job<'_>,
    t: usize,
    range: Range<usize>,
    weights: &[f32],
) {
    let stride = job.cols.next_multiple_of(LANES);
    let weights = weights.as_ptr();
    let mut n = range.start;
    // SAFETY: the tiles stay inside of the range, and `weights` holds `range.len()` rows of `stride`.
    unsafe {
        while n + R <= range.end {
            tile::<I, M, R>(job, t, n, weights.add((n - range.start) * stride));
            n += R;
        }
        while n < range.end {
            tile::<I, M, 1>(job, t, n, weights.add((n - range.start) * stride));
            n += 1;
        }
    }
}

#[inline(always)]
unsafe fn tile<I: Isa, const M: usize, const R: usize>(
    job: &Job<'_>,
    t: usize,
    n: usize,
    weights: *const f32,
) {
    let stride = job.cols.next_multiple_of(LANES);
    // SAFETY: there are `M` activation rows from `t` on, and `R` weight rows of `stride` at `weights`.
    unsafe {
        let x = job.x.as_ptr().add(t * job.cols);
        let mut sums = [[I::splat(0.0); R]; M];
        let whole = job.cols / LANES * LANES;
        let mut k = 0;
        while k < whole {
            let mut w = [I::splat(0.0); R];
            for r in 0..R {
                w[r] = I::load(weights.add(r * stride + k));
            }
            for m in 0..M {
                let x = I::load(x.add(m * job.cols + k));
                for r in 0..R {
                    sums[m][r] = I::fma(w[r], x, sums[m][r]);
                }
            }
            k += LANES;
        }
        if k < job.cols {
            for m in 0..M {
                let x = load_part::<I>(x.add(m * job.cols + k), job.cols - k);
                for r in 0..R {
                    sums[m][r] = I::fma(I::load(weights.add(r * stride + k)), x, sums[m][r]);
                }
            }
        }
        finish::<I, M, R>(job, t, n, sums);
    }
}

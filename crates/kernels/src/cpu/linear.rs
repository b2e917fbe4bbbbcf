//! Linear layers with f32 activations.
//!
//! Lane `i` of a dot product sums the columns `i, i + 16, i + 32, …` in that order, and lanes are reduced in one fixed
//! order, so a row's result is the same for both of these paths:
//! - one row: packed weights are streamed once and multiplied as they are dequantized;
//! - several rows: a few weight rows are dequantized into scratch memory and reused for every activation row.

use std::{cell::RefCell, marker::PhantomData, ops::Range};

use super::{
    Cpu,
    format::{Format, Packed, with_format},
    simd::{Isa, LANES, load_part, multiversion},
};
use crate::{Weight, weight::Storage};

/// Floats of scratch memory per thread for dequantized weights: half of a small L2 cache.
const SCRATCH_FLOATS: usize = 48 * 1024;
/// The same for few activation rows, which gain little from many weight rows: half of an L1 cache.
const SMALL_SCRATCH_FLOATS: usize = 6 * 1024;
/// Up to this many activation rows count as few.
const FEW_ROWS: usize = 8;
/// Maximum number of weight rows dequantized at a time; a multiple of every tile height.
const BLOCK_ROWS: usize = 48;
const TILE_ROWS: usize = 6;
/// Weights per task.
const TASK_WEIGHTS: usize = 32 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A product with one weight, split into tasks.
pub(crate) struct Product<'a> {
    pub weight: &'a Weight,
    pub bias: Option<&'a [f32]>,
    /// Activation rows.
    pub rows: usize,
    pub out: Columns,
}

/// Output of the first row, and the distance between rows.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    pub start: *mut f32,
    pub stride: usize,
}

// SAFETY: the pointer is only dereferenced by the unsafe `Product::run`, whose caller ensures that it is valid and that
// threads write disjoint elements.
unsafe impl Sync for Columns {}
// SAFETY: as for `Sync`.
unsafe impl Send for Columns {}

struct Job<'a> {
    packed: Packed<'a>,
    /// `[rows, cols]`.
    x: &'a [f32],
    rows: usize,
    cols: usize,
    bias: Option<&'a [f32]>,
    out: Columns,
}

impl Product<'_> {
    /// Weight rows per task.
    fn per_task(&self) -> usize {
        let cols = self.weight.cols();
        if self.rows == 1 {
            return (TASK_WEIGHTS / cols).clamp(8, 512).next_multiple_of(8);
        }
        let floats = if self.rows <= FEW_ROWS {
            SMALL_SCRATCH_FLOATS
        } else {
            SCRATCH_FLOATS
        };
        (floats / cols / TILE_ROWS * TILE_ROWS).clamp(TILE_ROWS, BLOCK_ROWS)
    }

    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.weight.rows().div_ceil(self.per_task())
    }

    /// Computes the outputs of one task for all rows of `x`.
    ///
    /// # Safety
    /// `out.start` is writable for `weight.rows()` floats of every row, `out.stride` apart, and aligned for f32. No
    /// other thread accesses the outputs of this task.
    pub unsafe fn run(&self, cpu: &Cpu, x: &[f32], task: usize) {
        let (w, per_task) = (self.weight, self.per_task());
        assert!(x.len() == self.rows * w.cols());
        let range = task * per_task..w.rows().min((task + 1) * per_task);
        let job = Job {
            packed: Packed::new(w),
            x,
            rows: self.rows,
            cols: w.cols(),
            bias: self.bias,
            out: self.out,
        };
        SCRATCH.with_borrow_mut(|scratch| {
            // SAFETY: the CPU supports `cpu.level`, which was detected. `F` is the format of the weight, `range` is
            // inside the weight, `x` has `rows · cols` values by the assertion, and `unpack` fills `scratch` for
            // `many_rows`. The outputs `range` are those of this task, so the contract of this function makes them
            // writable.
            unsafe {
                with_format!(w, F => {
                    if job.rows == 1 {
                        one_row::<F>(cpu.level, &job, range, scratch);
                    } else {
                        unpack::<F>(cpu.level, &job.packed, job.cols, range.clone(), scratch);
                        many_rows(cpu.level, &job, range, scratch);
                    }
                });
            }
        });
    }
}

/// Row `row` of `table` as f32.
pub(crate) fn dequantize_row(cpu: &Cpu, table: &Weight, row: usize, out: &mut [f32]) {
    if let Storage::Repacked(weight) = table.storage() {
        weight.dequantize_row(row, out);
        return;
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let packed = Packed::new(table);
        // SAFETY: the CPU supports `cpu.level`, which was detected, and `F` is the format of the table.
        unsafe {
            with_format!(table, F => unpack::<F>(cpu.level, &packed, table.cols(), row..row + 1, scratch));
        }
        out.copy_from_slice(&scratch[..out.len()]);
    });
}

multiversion! {
    /// Multiplies the only activation row with the weight rows `range`.
    one_row [F: Format] [F]
    (job: &Job<'_>, range: Range<usize>, scratch: &mut Vec<f32>) = one_row_with
}

multiversion! {
    /// Unpacks weight rows into `scratch`, each padded with zeros to a multiple of sixteen.
    unpack [F: Format] [F]
    (packed: &Packed<'_>, cols: usize, range: Range<usize>, scratch: &mut Vec<f32>) = unpack_with
}

multiversion! {
    /// Multiplies all activation rows with the unpacked weight rows `range`.
    many_rows [] [] (job: &Job<'_>, range: Range<usize>, scratch: &[f32]) = many_rows_with
}

/// # Safety
/// The CPU supports `I`. `F` is the format of the weight of `job`, whose `x` holds one row of `cols` values. `range` is
/// inside the weight. The outputs `range` of `job.out` are writable, and no other thread accesses them.
#[inline(always)]
unsafe fn one_row_with<I: Isa, F: Format>(
    job: &Job<'_>,
    range: Range<usize>,
    scratch: &mut Vec<f32>,
) {
    let per_row = 2 * job.packed.groups;
    scratch.resize(4 * per_row, 0.0);
    let mut n = range.start;
    // SAFETY: the contract of this function. `n` is inside `range`. Every `Dot` has `per_row` floats of scratch
    // memory of its own, which are not used otherwise until it is finished. `groups · units_per_group` units of
    // sixteen values and the tail are the columns of the row and of `x`.
    unsafe {
        // Four sums at a time hide the latency of an addition. They are variables, not an array, to stay in registers.
        while n + 4 <= range.end {
            job.packed.prefetch(n, 4);
            let (first, second) = scratch.split_at_mut(2 * per_row);
            let (a, b) = first.split_at_mut(per_row);
            let (c, d) = second.split_at_mut(per_row);
            let mut a = Dot::<I, F>::new(job, n, a);
            let mut b = Dot::<I, F>::new(job, n + 1, b);
            let mut c = Dot::<I, F>::new(job, n + 2, c);
            let mut d = Dot::<I, F>::new(job, n + 3, d);
            let mut x = job.x.as_ptr();
            for g in 0..job.packed.groups {
                let (in_a, in_b, in_c, in_d) = (a.group(g), b.group(g), c.group(g), d.group(g));
                for _ in 0..job.packed.units_per_group {
                    let activations = I::load(x);
                    x = x.add(LANES);
                    a.add(in_a, activations);
                    b.add(in_b, activations);
                    c.add(in_c, activations);
                    d.add(in_d, activations);
                }
            }
            a.finish(job, x, n);
            b.finish(job, x, n + 1);
            c.finish(job, x, n + 2);
            d.finish(job, x, n + 3);
            n += 4;
        }
        while n < range.end {
            let mut a = Dot::<I, F>::new(job, n, scratch);
            let mut x = job.x.as_ptr();
            for g in 0..job.packed.groups {
                let in_a = a.group(g);
                for _ in 0..job.packed.units_per_group {
                    a.add(in_a, I::load(x));
                    x = x.add(LANES);
                }
            }
            a.finish(job, x, n);
            n += 1;
        }
    }
}

/// A running dot product of the activation row with one weight row.
struct Dot<I: Isa, F> {
    from: *const u8,
    scales: *const f32,
    biases: *const f32,
    sum: I::V,
    format: PhantomData<F>,
}

impl<I: Isa, F: Format> Dot<I, F> {
    /// Widens the scales and biases of row `n` to `scratch`, which has room for one of each per group.
    ///
    /// # Safety
    /// The CPU supports `I`. `scratch` is neither written nor dropped before the returned value.
    #[inline(always)]
    unsafe fn new(job: &Job<'_>, n: usize, scratch: &mut [f32]) -> Self {
        let (scales, biases) = scratch.split_at_mut(job.packed.groups);
        job.packed.scales(n, scales, biases);
        Self {
            from: job.packed.row(n),
            scales: scales.as_ptr(),
            biases: biases.as_ptr(),
            // SAFETY: the CPU supports `I` by the contract of this function.
            sum: unsafe { I::splat(0.0) },
            format: PhantomData,
        }
    }

    /// # Safety
    /// The CPU supports `I`. `g` is a group of the row.
    #[inline(always)]
    unsafe fn group(&self, g: usize) -> F::Group<I> {
        // SAFETY: the contract of this function; there are a scale and a bias for every group.
        unsafe { F::group::<I>(*self.scales.add(g), *self.biases.add(g)) }
    }

    /// Adds the products of the next unit.
    ///
    /// # Safety
    /// The CPU supports `I`, and the row has another whole unit.
    #[inline(always)]
    unsafe fn add(&mut self, group: F::Group<I>, activations: I::V) {
        // SAFETY: `from` is the start of the next unit, which exists by the contract of this function.
        unsafe {
            let weights = F::unit::<I>(group, self.from);
            self.from = self.from.add(F::UNIT_BYTES);
            self.sum = I::fma(weights, activations, self.sum);
        }
    }

    /// Adds the part of a unit at the end of a dense row, and stores the sum.
    ///
    /// # Safety
    /// The CPU supports `I`. All whole units of the row have been added, and `x` is readable for the `tail` remaining
    /// values. Output `n` of the first row is writable, and no other thread accesses it.
    #[inline(always)]
    unsafe fn finish(mut self, job: &Job<'_>, x: *const f32, n: usize) {
        let tail = job.packed.tail;
        // SAFETY: the contract of this function: `tail` values remain at `from` and at `x`.
        unsafe {
            if tail > 0 {
                let weights = unit_part::<I, F>(self.from, tail);
                self.sum = I::fma(weights, load_part::<I>(x, tail), self.sum);
            }
            finish::<I, 1, 1>(job, 0, n, [[self.sum]]);
        }
    }
}

/// The `count` values after the last whole unit of a dense row, followed by zeros.
///
/// # Safety
/// The CPU supports `I`. `F` is dense, and `from` is readable for `count` values, fewer than sixteen.
#[inline(always)]
unsafe fn unit_part<I: Isa, F: Format>(from: *const u8, count: usize) -> I::V {
    let mut bytes = [0_u32; LANES];
    let size = (count * F::UNIT_BYTES / LANES).min(size_of_val(&bytes));
    // SAFETY: the contract of this function: a value of a dense format has `UNIT_BYTES / LANES` bytes, at most four,
    // so a unit fits `bytes`.
    unsafe {
        std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr().cast(), size);
        F::unit::<I>(F::group::<I>(1.0, 0.0), bytes.as_ptr().cast())
    }
}

/// Reduces the sums of `M` rows and `R` outputs and stores them.
///
/// # Safety
/// The CPU supports `I`. The outputs `n .. n + R` of the rows `t .. t + M` are writable, and no other thread accesses
/// them.
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
            // SAFETY: the contract of this function.
            unsafe {
                let sum = I::sum(sums[m][r]) + bias;
                let to = job.out.start.add((t + m) * job.out.stride + n + r);
                to.write(sum);
            }
        }
    }
}

/// # Safety
/// The CPU supports `I`. `F` is the format of `packed`, and `cols` its number of columns.
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
        // SAFETY: the CPU supports `I` and `F` is the format, by the contract of this function. A row of the weight has
        // `groups · units_per_group` units and `tail` values; `values` has at least as many, rounded up to sixteen.
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

/// # Safety
/// The CPU supports `I`. `weights` holds the weight rows `range` as [`unpack`] writes them, and `job.x` holds `rows`
/// rows of `cols` values. The outputs `range` of all rows are writable, and no other thread accesses them.
#[inline(always)]
unsafe fn many_rows_with<I: Isa>(job: &Job<'_>, range: Range<usize>, weights: &[f32]) {
    // SAFETY: the contract of this function; the panels are inside the rows.
    unsafe {
        let mut t = 0;
        if I::WIDE {
            while t + 4 <= job.rows {
                row_panel::<I, 4, TILE_ROWS>(job, t, range.clone(), weights);
                t += 4;
            }
        }
        while t + 2 <= job.rows {
            row_panel::<I, 2, 3>(job, t, range.clone(), weights);
            t += 2;
        }
        if t < job.rows {
            row_panel::<I, 1, TILE_ROWS>(job, t, range, weights);
        }
    }
}

/// Covers the activation rows `t .. t + M` and the weight rows `range` with tiles of `M` by `R`.
///
/// # Safety
/// As for [`many_rows_with`]; `t + M` is at most the number of rows.
#[inline(always)]
unsafe fn row_panel<I: Isa, const M: usize, const R: usize>(
    job: &Job<'_>,
    t: usize,
    range: Range<usize>,
    weights: &[f32],
) {
    let stride = job.cols.next_multiple_of(LANES);
    let weights = weights.as_ptr();
    let mut n = range.start;
    // SAFETY: the contract of this function; the tiles are inside `range`, whose rows in `weights` are `stride` apart.
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

/// A tile of the outputs `n .. n + R` of the rows `t .. t + M`.
///
/// # Safety
/// The CPU supports `I`. `job.x` has the rows `t .. t + M`, and `weights` is readable for `R` rows of `cols` values
/// rounded up to sixteen. The outputs of the tile are writable, and no other thread accesses them.
#[inline(always)]
unsafe fn tile<I: Isa, const M: usize, const R: usize>(
    job: &Job<'_>,
    t: usize,
    n: usize,
    weights: *const f32,
) {
    let stride = job.cols.next_multiple_of(LANES);
    // SAFETY: the contract of this function; `k` is below `cols`, and weight rows are padded to whole vectors.
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

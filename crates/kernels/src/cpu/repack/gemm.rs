//! Products of quantized rows with one tile.

use std::ops::Range;

#[cfg(target_arch = "aarch64")]
use super::neon;
#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{
    CHUNK, Int8DotLevel, QuantizedRows, RepackedWeight, ScaleFormat, TILE, VECTOR,
    codes::{CodeFormat, with_codes},
    int8_dot::{Int8Dot, Scalar, scales},
};
use crate::cpu::prefetch;

/// A repacked weight and the quantized activations.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    pub weight: &'a RepackedWeight,
    pub x: &'a QuantizedRows,
}

/// Distance of prefetches in bytes.
const AHEAD_BYTES: usize = 4608;

/// The arguments of a kernel.
struct Job {
    /// A tile of `records` records.
    tile: *const u8,
    records: usize,
    record_bytes: usize,
    /// Chunks of a record, which are followed by its scales.
    chunks: usize,
    scales: ScaleFormat,
    /// Quantized values, `x_stride` from row to row.
    x: *const i8,
    x_stride: usize,
    /// Step and sum of each group, `factors_stride` from row to row.
    factors: *const f32,
    factors_stride: usize,
    /// Sixteen outputs of each row, `out_stride` from row to row.
    out: *mut f32,
    out_stride: usize,
}

/// Writes the sixteen products of tile `tile` with each of `rows` to `out`, `stride` floats from row to row.
///
/// # Safety
/// The CPU supports `level`. The operands have the same number of columns and group size. `rows` are rows of
/// `operands.x`, have been quantized, and are not written by any thread. `out` is aligned and writable for sixteen
/// floats of every row, which no other thread accesses.
pub(crate) unsafe fn gemm(
    level: Int8DotLevel,
    operands: Operands<'_>,
    tile: usize,
    rows: Range<usize>,
    out: *mut f32,
    stride: usize,
) {
    let Operands { weight, x } = operands;
    debug_assert!(x.cols() == weight.cols && x.group() == weight.spec.group_size);
    if rows.is_empty() {
        return;
    }
    let job = Job {
        tile: weight.tile(tile).as_ptr(),
        records: weight.records(),
        record_bytes: weight.record_bytes(),
        chunks: weight.chunks_per_record(),
        scales: weight.scales,
        x: x.values(rows.start),
        x_stride: x.stride(),
        factors: x.factors(rows.start),
        factors_stride: x.factors_per_row(),
        out,
        out_stride: stride,
    };
    // SAFETY: the contract of this function. `tile` is a slice of `records · record_bytes` bytes, and `C` its code
    // format. The rows have as many columns and groups, `x_stride` and `factors_stride` apart.
    with_codes!(weight.spec, C => unsafe { all_rows::<C>(level, &job, rows.len()) });
}

/// Compiles the kernels once per instruction set.
///
/// # Safety
/// The CPU supports `level`. The pointers of `job` are valid for what its fields describe, for `rows` rows; `tile`
/// has the code format `C`. No other thread writes the inputs or accesses the outputs.
unsafe fn all_rows<C: CodeFormat>(level: Int8DotLevel, job: &Job, rows: usize) {
    /// # Safety
    /// The CPU supports the enabled features. Otherwise as for [`all_rows`].
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn avx512_vnni<C: CodeFormat>(job: &Job, rows: usize) {
        // SAFETY: the contract of this function.
        unsafe { all_rows_with::<x86::Avx512Vnni, C>(job, rows) }
    }
    /// # Safety
    /// The CPU supports the enabled features. Otherwise as for [`all_rows`].
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avxvnni,avx2,fma,f16c")]
    unsafe fn avx_vnni<C: CodeFormat>(job: &Job, rows: usize) {
        // SAFETY: the contract of this function.
        unsafe { all_rows_with::<x86::AvxVnni, C>(job, rows) }
    }
    /// # Safety
    /// The CPU supports the enabled features. Otherwise as for [`all_rows`].
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn avx2<C: CodeFormat>(job: &Job, rows: usize) {
        // SAFETY: the contract of this function.
        unsafe { all_rows_with::<x86::Avx2, C>(job, rows) }
    }
    /// # Safety
    /// The CPU supports the enabled features. Otherwise as for [`all_rows`].
    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "dotprod")]
    unsafe fn neon_dotprod<C: CodeFormat>(job: &Job, rows: usize) {
        // SAFETY: the contract of this function.
        unsafe { all_rows_with::<neon::Dotprod, C>(job, rows) }
    }
    /// # Safety
    /// The CPU supports the enabled features. Otherwise as for [`all_rows`].
    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "dotprod,i8mm")]
    unsafe fn neon_i8mm<C: CodeFormat>(job: &Job, rows: usize) {
        // SAFETY: the contract of this function.
        unsafe { all_rows_with::<neon::I8mm, C>(job, rows) }
    }
    // SAFETY: the CPU supports `level`, which implies the features that each function enables and the instruction set
    // that it uses. The rest is the contract of this function.
    unsafe {
        match level {
            Int8DotLevel::Scalar => all_rows_with::<Scalar, C>(job, rows),
            #[cfg(target_arch = "x86_64")]
            Int8DotLevel::Avx2 => avx2::<C>(job, rows),
            #[cfg(target_arch = "x86_64")]
            Int8DotLevel::AvxVnni => avx_vnni::<C>(job, rows),
            #[cfg(target_arch = "x86_64")]
            Int8DotLevel::Avx512Vnni => avx512_vnni::<C>(job, rows),
            #[cfg(target_arch = "aarch64")]
            Int8DotLevel::Neon => all_rows_with::<neon::Neon, C>(job, rows),
            #[cfg(target_arch = "aarch64")]
            Int8DotLevel::NeonDotprod => neon_dotprod::<C>(job, rows),
            #[cfg(target_arch = "aarch64")]
            Int8DotLevel::NeonI8mm => neon_i8mm::<C>(job, rows),
        }
    }
}

/// Processes the rows in blocks, largest first.
///
/// # Safety
/// The CPU supports `D`. Otherwise as for [`all_rows`].
#[inline(always)]
unsafe fn all_rows_with<D: Int8Dot, C: CodeFormat>(job: &Job, rows: usize) {
    for lane in (0..TILE).step_by(D::LANES) {
        let mut row = 0;
        // SAFETY: the contract of this function; blocks are inside the rows, and `D::LANES` divides the sixteen
        // outputs.
        unsafe {
            if D::ROWS >= 16 && !C::TWO_GROUPS {
                while rows - row >= 16 {
                    block::<D, C, 16>(job, lane, row);
                    row += 16;
                }
            }
            if D::ROWS >= 8 {
                while rows - row >= 8 {
                    block::<D, C, 8>(job, lane, row);
                    row += 8;
                }
            }
            while rows - row >= 4 {
                block::<D, C, 4>(job, lane, row);
                row += 4;
            }
            if rows - row >= 2 {
                block::<D, C, 2>(job, lane, row);
                row += 2;
            }
            if rows - row >= 1 {
                block::<D, C, 1>(job, lane, row);
            }
        }
    }
}

/// The products of `R` rows from `row` on with the outputs from `lane` on.
///
/// # Safety
/// As for [`all_rows_with`]; `row + R` is at most the number of rows, and `lane + D::LANES` at most sixteen.
#[inline(always)]
unsafe fn block<D: Int8Dot, C: CodeFormat, const R: usize>(job: &Job, lane: usize, row: usize) {
    // SAFETY: the contract of this function: the tile has `records` records of `chunks` chunks and the scales of one
    // group, or two with `TWO_GROUPS`, and every row has 32 values for each chunk and two factors for each group. No
    // pointer that is dereferenced leaves them.
    unsafe {
        let mut x = job.x.add(row * job.x_stride);
        let mut factors = job.factors.add(row * job.factors_stride);
        let mut record = job.tile;
        let mut totals = [D::splat(0.0); R];
        for _ in 0..job.records {
            // The hardware prefetcher stops at page borders. Later blocks of rows find the tile in the cache.
            if row == 0 && lane == 0 {
                prefetch::prefetch(record, AHEAD_BYTES..AHEAD_BYTES + job.record_bytes);
            }
            let mut chunk = record.add(4 * lane);
            let mut low = [D::zero(); R];
            let mut high = [D::zero(); R];
            for _ in 0..job.chunks {
                D::chunk::<C, R>(chunk, x, job.x_stride, &mut low, &mut high);
                chunk = chunk.add(C::BITS * VECTOR);
                x = x.add(CHUNK);
            }
            D::arrange::<C, R>(&mut low);
            let from = chunk.sub(4 * lane);
            add_group::<D, R>(job, from, lane, factors, &low, &mut totals);
            factors = factors.add(2);
            if C::TWO_GROUPS {
                let from = from.add(job.scales.bytes());
                add_group::<D, R>(job, from, lane, factors, &high, &mut totals);
                factors = factors.add(2);
            }
            record = record.add(job.record_bytes);
        }
        for r in 0..R {
            D::store(job.out.add((row + r) * job.out_stride + lane), totals[r]);
        }
    }
}

/// Adds the scaled sums of a group to the totals.
///
/// # Safety
/// The CPU supports `D`. `job.scales.bytes()` bytes are readable at `from`, the scales of the group, and two floats at
/// `factors` for each of `R` rows, `job.factors_stride` apart. `lane + D::LANES` is at most sixteen.
#[inline(always)]
unsafe fn add_group<D: Int8Dot, const R: usize>(
    job: &Job,
    from: *const u8,
    lane: usize,
    factors: *const f32,
    sums: &[D::Sums; R],
    totals: &mut [D::Floats; R],
) {
    // SAFETY: the contract of this function.
    unsafe {
        let (scale, bias) = scales::<D>(from, job.scales, lane);
        for r in 0..R {
            let factors = factors.add(r * job.factors_stride);
            let step = D::mul(scale, D::splat(*factors));
            totals[r] = D::fma(D::to_floats(sums[r]), step, totals[r]);
            totals[r] = D::fma(bias, D::splat(*factors.add(1)), totals[r]);
        }
    }
}

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

/// Prefetch distance.
const AHEAD_BYTES: usize = 4608;

/// The arguments of a kernel.
struct Job {
    tile: *const u8,
    records: usize,
    record_bytes: usize,
    chunks: usize,
    scales: ScaleFormat,
    /// First row.
    x: *const i8,
    x_stride: usize,
    /// Of the first row: step and sum of each group.
    factors: *const f32,
    factors_stride: usize,
    out: *mut f32,
    out_stride: usize,
}

/// Writes the sixteen products of tile `tile` with each of `rows` to `out`, `stride` floats from row to row.
///
/// # Safety
/// The CPU has the level; the rows have been quantized; `out` has room for them.
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
    // SAFETY: the contract of this function; tile and rows have the sizes that the job names.
    with_codes!(weight.spec, C => unsafe { all_rows::<C>(level, &job, rows.len()) });
}

/// Compiles the kernels once per instruction set.
///
/// # Safety
/// The CPU must support `level`; the pointers of `job` are valid for the tile, for `rows` quantized rows and for `rows` rows
/// of sixteen outputs, which no other thread writes.
unsafe fn all_rows<C: CodeFormat>(level: Int8DotLevel, job: &Job, rows: usize) {
    /// # Safety
    /// As for [`all_rows`], on a CPU with the enabled features.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
    unsafe fn avx512_vnni<C: CodeFormat>(job: &Job, rows: usize) {
        // SAFETY: the contract of this function; the features are enabled here.
        unsafe { all_rows_with::<x86::Avx512Vnni, C>(job, rows) }
    }
    /// # Safety
    /// As for [`all_rows`], on a CPU with the enabled features.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avxvnni,avx2,fma,f16c")]
    unsafe fn avx_vnni<C: CodeFormat>(job: &Job, rows: usize) {
        // SAFETY: the contract of this function; the features are enabled here.
        unsafe { all_rows_with::<x86::AvxVnni, C>(job, rows) }
    }
    /// # Safety
    /// As for [`all_rows`], on a CPU with the enabled features.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn avx2<C: CodeFormat>(job: &Job, rows: usize) {
        // SAFETY: the contract of this function; the features are enabled here.
        unsafe { all_rows_with::<x86::Avx2, C>(job, rows) }
    }
    /// # Safety
    /// As for [`all_rows`], on a CPU with the enabled features.
    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "dotprod")]
    unsafe fn neon_dotprod<C: CodeFormat>(job: &Job, rows: usize) {
        // SAFETY: the contract of this function; the features are enabled here.
        unsafe { all_rows_with::<neon::Dotprod, C>(job, rows) }
    }
    /// # Safety
    /// As for [`all_rows`], on a CPU with the enabled features.
    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "dotprod,i8mm")]
    unsafe fn neon_i8mm<C: CodeFormat>(job: &Job, rows: usize) {
        // SAFETY: the contract of this function; the features are enabled here.
        unsafe { all_rows_with::<neon::I8mm, C>(job, rows) }
    }
    // SAFETY: the contract of this function.
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
/// As for [`all_rows`]; the caller has enabled the instructions of `D`.
#[inline(always)]
unsafe fn all_rows_with<D: Int8Dot, C: CodeFormat>(job: &Job, rows: usize) {
    for lane in (0..TILE).step_by(D::LANES) {
        let mut row = 0;
        // SAFETY: the contract of this function; blocks stay inside the rows.
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
/// As for [`all_rows_with`]; the rows `row .. row + R` and the outputs `lane .. lane + D::LANES` exist.
#[inline(always)]
unsafe fn block<D: Int8Dot, C: CodeFormat, const R: usize>(job: &Job, lane: usize, row: usize) {
    // SAFETY: the contract of this function: the tile has `records` records of the layout that the module describes, and there
    // are `R` rows of as many columns.
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
/// As for [`Int8Dot`]. `from` is the start of the group's scales, and `factors` holds the step and the sum of the group for `R` rows.
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

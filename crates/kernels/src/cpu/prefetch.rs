//! Software prefetch.

use std::ops::Range;

/// Size of a cache line.
const LINE_BYTES: usize = 64;

/// Prefetches the bytes `range` relative to `from`. The addresses need not be valid.
#[inline(always)]
pub(crate) fn prefetch(from: *const u8, range: Range<usize>) {
    for line in range.step_by(LINE_BYTES) {
        prefetch_line(from.wrapping_add(line));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch_line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch of any address is allowed and affects only caches. The instruction is part of SSE, hence of
    // x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn prefetch_line(at: *const u8) {
    // SAFETY: a prefetch of any address is allowed and affects only caches.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nostack, readonly, preserves_flags));
    }
}

/// Other architectures rely on their hardware prefetcher.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn prefetch_line(_: *const u8) {}

//! AVX2, AVX-VNNI and AVX-512 VNNI.

#![cfg_attr(
    not(test),
    expect(
        clippy::wildcard_imports,
        reason = "the names of intrinsics carry their own prefix"
    )
)]

use std::arch::x86_64::*;

use super::int8_dot::Int8Dot;
use crate::cpu::{simd::Isa, x86::Avx512};

/// Four consecutive activations as one integer.
///
/// # Safety
/// `x` is readable for 4 values.
#[inline(always)]
unsafe fn four(x: *const i8) -> i32 {
    // SAFETY: the contract of this function.
    unsafe { x.cast::<i32>().read_unaligned() }
}

/// A shift count.
#[inline(always)]
fn count<const N: u32>() -> __m128i {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { _mm_cvtsi32_si128(N as i32) }
}

/// Sixteen outputs at a time, with AVX-512 F, BW, DQ, VL and VNNI.
#[derive(Clone, Copy)]
pub(super) struct Avx512Vnni;

impl Int8Dot for Avx512Vnni {
    const LANES: usize = 16;
    const ROWS: usize = 16;
    type Codes = __m512i;
    type Sums = __m512i;
    type Floats = __m512;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: the contract of `Int8Dot::load`: 64 bytes are readable; the CPU supports AVX-512.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn down<const N: u32>(codes: __m512i) -> __m512i {
        // SAFETY: the contract of `Int8Dot::down`: the CPU supports AVX-512.
        unsafe { _mm512_srl_epi16(codes, count::<N>()) }
    }

    #[inline(always)]
    unsafe fn up<const N: u32>(codes: __m512i) -> __m512i {
        // SAFETY: the contract of `Int8Dot::up`: the CPU supports AVX-512.
        unsafe { _mm512_sll_epi16(codes, count::<N>()) }
    }

    #[inline(always)]
    unsafe fn mask(codes: __m512i, mask: u8) -> __m512i {
        // SAFETY: the contract of `Int8Dot::mask`: the CPU supports AVX-512.
        unsafe { _mm512_and_si512(codes, _mm512_set1_epi8(mask as i8)) }
    }

    #[inline(always)]
    unsafe fn or(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: the contract of `Int8Dot::or`: the CPU supports AVX-512.
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn look_up(codes: __m512i, table: &[u8; 16]) -> __m512i {
        // SAFETY: the contract of `Int8Dot::look_up`: the table has sixteen bytes; the CPU supports AVX-512.
        unsafe {
            let table = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
            _mm512_shuffle_epi8(table, codes)
        }
    }

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: the contract of `Int8Dot::zero`: the CPU supports AVX-512.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn dot<const WIDE: bool>(sums: __m512i, codes: __m512i, x: *const i8) -> __m512i {
        // SAFETY: the contract of `Int8Dot::dot`: four values are readable; the CPU supports VNNI.
        unsafe { _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(four(x))) }
    }

    #[inline(always)]
    unsafe fn to_floats(sums: __m512i) -> __m512 {
        // SAFETY: the contract of `Int8Dot::to_floats`: the CPU supports AVX-512.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        // SAFETY: the contract of `Int8Dot::splat`: the CPU supports AVX-512.
        unsafe { Avx512::splat(value) }
    }

    #[inline(always)]
    unsafe fn load_f32(from: *const f32) -> __m512 {
        // SAFETY: the contract of `Int8Dot::load_f32`: sixteen values are readable; the CPU supports AVX-512.
        unsafe { Avx512::load(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> __m512 {
        // SAFETY: the contract of `Int8Dot::load_f16`: sixteen values are readable; the CPU supports AVX-512.
        unsafe { Avx512::load_f16(from) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> __m512 {
        // SAFETY: the contract of `Int8Dot::load_bf16`: sixteen values are readable; the CPU supports AVX-512.
        unsafe { Avx512::load_bf16(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m512) {
        // SAFETY: the contract of `Int8Dot::store`: sixteen values are writable; the CPU supports AVX-512.
        unsafe { Avx512::store(to, value) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the contract of `Int8Dot::mul`: the CPU supports AVX-512.
        unsafe { Avx512::mul(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the contract of `Int8Dot::fma`: the CPU supports AVX-512.
        unsafe { Avx512::fma(a, b, c) }
    }
}

/// Eight outputs at a time; the two sets differ in the dot product alone.
macro_rules! eight_outputs {
    ($(#[$meta:meta])* $name:ident, $dot:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub(super) struct $name;

        impl Int8Dot for $name {
            const LANES: usize = 8;
            const ROWS: usize = 4;
            type Codes = __m256i;
            type Sums = __m256i;
            type Floats = __m256;

            #[inline(always)]
            unsafe fn load(from: *const u8) -> __m256i {
                // SAFETY: the contract of `Int8Dot::load`: 32 bytes are readable; the CPU supports AVX2.
                unsafe { _mm256_loadu_si256(from.cast()) }
            }

            #[inline(always)]
            unsafe fn down<const N: u32>(codes: __m256i) -> __m256i {
                // SAFETY: the contract of `Int8Dot::down`: the CPU supports AVX2.
                unsafe { _mm256_srl_epi16(codes, count::<N>()) }
            }

            #[inline(always)]
            unsafe fn up<const N: u32>(codes: __m256i) -> __m256i {
                // SAFETY: the contract of `Int8Dot::up`: the CPU supports AVX2.
                unsafe { _mm256_sll_epi16(codes, count::<N>()) }
            }

            #[inline(always)]
            unsafe fn mask(codes: __m256i, mask: u8) -> __m256i {
                // SAFETY: the contract of `Int8Dot::mask`: the CPU supports AVX2.
                unsafe { _mm256_and_si256(codes, _mm256_set1_epi8(mask as i8)) }
            }

            #[inline(always)]
            unsafe fn or(a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: the contract of `Int8Dot::or`: the CPU supports AVX2.
                unsafe { _mm256_or_si256(a, b) }
            }

            #[inline(always)]
            unsafe fn look_up(codes: __m256i, table: &[u8; 16]) -> __m256i {
                // SAFETY: the contract of `Int8Dot::look_up`: the table has sixteen bytes; the CPU supports AVX2.
                unsafe {
                    let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
                    _mm256_shuffle_epi8(table, codes)
                }
            }

            #[inline(always)]
            unsafe fn zero() -> __m256i {
                // SAFETY: the contract of `Int8Dot::zero`: the CPU supports AVX2.
                unsafe { _mm256_setzero_si256() }
            }

            #[inline(always)]
            unsafe fn dot<const WIDE: bool>(sums: __m256i, codes: __m256i, x: *const i8) -> __m256i {
                // SAFETY: the contract of `Int8Dot::dot`: four values are readable; the CPU supports AVX2 and the
                // instructions of `$dot`.
                unsafe { $dot::<WIDE>(sums, codes, _mm256_set1_epi32(four(x))) }
            }

            #[inline(always)]
            unsafe fn to_floats(sums: __m256i) -> __m256 {
                // SAFETY: the contract of `Int8Dot::to_floats`: the CPU supports AVX2.
                unsafe { _mm256_cvtepi32_ps(sums) }
            }

            #[inline(always)]
            unsafe fn splat(value: f32) -> __m256 {
                // SAFETY: the contract of `Int8Dot::splat`: the CPU supports AVX2.
                unsafe { _mm256_set1_ps(value) }
            }

            #[inline(always)]
            unsafe fn load_f32(from: *const f32) -> __m256 {
                // SAFETY: the contract of `Int8Dot::load_f32`: eight values are readable; the CPU supports AVX2.
                unsafe { _mm256_loadu_ps(from) }
            }

            #[inline(always)]
            unsafe fn load_f16(from: *const u16) -> __m256 {
                // SAFETY: the contract of `Int8Dot::load_f16`: eight values are readable; the CPU supports F16C.
                unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
            }

            #[inline(always)]
            unsafe fn load_bf16(from: *const u16) -> __m256 {
                // SAFETY: the contract of `Int8Dot::load_bf16`: eight values are readable; the CPU supports AVX2.
                unsafe {
                    let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
                    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
                }
            }

            #[inline(always)]
            unsafe fn store(to: *mut f32, value: __m256) {
                // SAFETY: the contract of `Int8Dot::store`: eight values are writable; the CPU supports AVX2.
                unsafe { _mm256_storeu_ps(to, value) }
            }

            #[inline(always)]
            unsafe fn mul(a: __m256, b: __m256) -> __m256 {
                // SAFETY: the contract of `Int8Dot::mul`: the CPU supports AVX2.
                unsafe { _mm256_mul_ps(a, b) }
            }

            #[inline(always)]
            unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
                // SAFETY: the contract of `Int8Dot::fma`: the CPU supports FMA.
                unsafe { _mm256_fmadd_ps(a, b, c) }
            }
        }
    };
}

eight_outputs!(
    /// Bytes are multiplied into pairs of 16-bit sums.
    Avx2,
    dot_avx2
);
eight_outputs!(
    /// With the dot product instruction.
    AvxVnni,
    dot_vnni
);

/// # Safety
/// The CPU supports AVX2.
#[inline(always)]
unsafe fn dot_avx2<const WIDE: bool>(sums: __m256i, codes: __m256i, x: __m256i) -> __m256i {
    // SAFETY: the contract of this function.
    unsafe {
        if WIDE {
            // Two products of a full byte do not fit 16 bits, so the halves of the byte are multiplied separately.
            let mask = _mm256_set1_epi8(15);
            let low = _mm256_maddubs_epi16(_mm256_and_si256(codes, mask), x);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), mask);
            let high = _mm256_maddubs_epi16(high, x);
            let low = _mm256_madd_epi16(low, _mm256_set1_epi16(1));
            let high = _mm256_madd_epi16(high, _mm256_set1_epi16(16));
            _mm256_add_epi32(sums, _mm256_add_epi32(low, high))
        } else {
            let pairs = _mm256_maddubs_epi16(codes, x);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }
}

/// # Safety
/// The CPU supports AVX-VNNI.
#[inline(always)]
unsafe fn dot_vnni<const WIDE: bool>(sums: __m256i, codes: __m256i, x: __m256i) -> __m256i {
    // SAFETY: the contract of this function.
    unsafe { _mm256_dpbusd_avx_epi32(sums, codes, x) }
}

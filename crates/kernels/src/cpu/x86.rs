//! AVX2 and AVX-512.

#![cfg_attr(
    not(test),
    expect(
        clippy::wildcard_imports,
        reason = "the names of intrinsics carry their own prefix"
    )
)]

use std::arch::x86_64::*;

use super::layout::Layout;
use super::simd::{F16_MAX, Isa, LANES};

const DIGITS: [f32; LANES] = [
    0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0,
];

/// Loads `2 · BITS` bytes to the low end of a register, and does not read beyond them.
///
/// # Safety
/// `from` is readable for `2 · BITS` bytes; `BITS` is 2, 3, 4, 5, 6 or 8.
#[inline(always)]
unsafe fn load_bytes<const BITS: usize>(from: *const u8) -> __m128i {
    // SAFETY: the contract of this function: every read is inside the `2 · BITS` bytes. SSE2 is part of x86-64.
    unsafe {
        match BITS {
            8 => _mm_loadu_si128(from.cast()),
            4 => _mm_loadl_epi64(from.cast()),
            2 => _mm_cvtsi32_si128(from.cast::<i32>().read_unaligned()),
            3 => {
                let low = u64::from(from.cast::<u32>().read_unaligned());
                let high = u64::from(from.add(4).cast::<u16>().read_unaligned());
                _mm_cvtsi64_si128((low | high << 32) as i64)
            }
            _ => {
                // The rest is 2 or 4 bytes after the first 8; it is read as the end of an overlapping word.
                let low = from.cast::<i64>().read_unaligned();
                let last = from.add(2 * BITS - 8).cast::<u64>().read_unaligned();
                _mm_set_epi64x((last >> (8 * (16 - 2 * BITS))) as i64, low)
            }
        }
    }
}

/// AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

type Pair = [__m256; 2];

impl Avx2 {
    /// # Safety
    /// The CPU supports AVX2.
    #[inline(always)]
    unsafe fn e4m3_half(codes: __m256i) -> __m256 {
        // SAFETY: the contract of this function.
        unsafe {
            let magnitude = _mm256_and_si256(codes, _mm256_set1_epi32(0x7f));
            let sign = _mm256_slli_epi32::<24>(_mm256_and_si256(codes, _mm256_set1_epi32(0x80)));
            let nan = _mm256_cmpeq_epi32(magnitude, _mm256_set1_epi32(0x7f));
            let value = _mm256_mul_ps(
                _mm256_castsi256_ps(_mm256_slli_epi32::<20>(magnitude)),
                _mm256_set1_ps(f32::from_bits((120 + 127) << 23)),
            );
            let value = _mm256_or_ps(value, _mm256_castsi256_ps(sign));
            _mm256_or_ps(value, _mm256_castsi256_ps(nan))
        }
    }

    /// # Safety
    /// The CPU supports AVX2.
    #[inline(always)]
    unsafe fn look_up_half(table: Pair, codes: __m256i) -> __m256 {
        // SAFETY: the contract of this function.
        unsafe {
            let low = _mm256_permutevar8x32_ps(table[0], codes);
            let high = _mm256_permutevar8x32_ps(table[1], codes);
            // Bit 3 of the code becomes the sign that the blend looks at.
            let upper = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(codes));
            _mm256_blendv_ps(low, high, upper)
        }
    }

    /// The 16-bit windows that hold the integers of lanes `8 · HALF ..`, shifted into place but not masked. `HALF` is
    /// 0 or 1.
    ///
    /// # Safety
    /// The CPU supports AVX2; `HALF` is 0 or 1.
    #[inline(always)]
    unsafe fn windows<const BITS: usize, const HALF: usize>(bytes: __m256i) -> __m256i {
        // SAFETY: the CPU supports AVX2 by the contract of this function. `BYTES` has 64 bytes and `SHIFTS` 16
        // values, of which each half reads its own.
        unsafe {
            let order = _mm256_loadu_si256(Layout::<BITS>::BYTES.as_ptr().add(32 * HALF).cast());
            let shifts = _mm256_loadu_si256(Layout::<BITS>::SHIFTS.as_ptr().add(8 * HALF).cast());
            _mm256_srlv_epi32(_mm256_shuffle_epi8(bytes, order), shifts)
        }
    }
}

impl Isa for Avx2 {
    type V = Pair;
    type Nibbles = (__m256, __m256);
    type Table = Pair;
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Pair {
        // SAFETY: the contract of `Isa::splat`: the CPU supports AVX2.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Pair {
        // SAFETY: the contract of `Isa::load`: sixteen values are readable; the CPU supports AVX2.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: Pair) {
        // SAFETY: the contract of `Isa::store`: sixteen values are writable; the CPU supports AVX2.
        unsafe {
            _mm256_storeu_ps(to, value[0]);
            _mm256_storeu_ps(to.add(8), value[1]);
        }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Pair {
        // SAFETY: the contract of `Isa::load_f16`: sixteen values are readable; the CPU supports F16C.
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(from.cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(from.add(8).cast())),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Pair {
        // SAFETY: the contract of `Isa::load_bf16`: sixteen values are readable; the CPU supports AVX2.
        unsafe {
            let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(8).cast()));
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Pair {
        // SAFETY: the contract of `Isa::load_i8`: sixteen values are readable; the CPU supports AVX2.
        unsafe {
            let bytes = _mm_loadu_si128(from.cast());
            [
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128::<8>(bytes))),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, value: Pair) {
        // SAFETY: the contract of `Isa::store_f16`: sixteen values are writable; the CPU supports F16C.
        // With a NaN, min and max return their second operand.
        unsafe {
            let (low, high) = (_mm256_set1_ps(-F16_MAX), _mm256_set1_ps(F16_MAX));
            for half in 0..2 {
                let value = _mm256_max_ps(low, _mm256_min_ps(high, value[half]));
                let narrow = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value);
                _mm_storeu_si128(to.add(8 * half).cast(), narrow);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(a: Pair, b: Pair) -> Pair {
        // SAFETY: the contract of `Isa::add`: the CPU supports AVX2.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn mul(a: Pair, b: Pair) -> Pair {
        // SAFETY: the contract of `Isa::mul`: the CPU supports AVX2.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn fma(a: Pair, b: Pair, c: Pair) -> Pair {
        // SAFETY: the contract of `Isa::fma`: the CPU supports FMA.
        unsafe {
            [
                _mm256_fmadd_ps(a[0], b[0], c[0]),
                _mm256_fmadd_ps(a[1], b[1], c[1]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn sum(value: Pair) -> f32 {
        // SAFETY: the contract of `Isa::sum`: the CPU supports AVX2.
        unsafe { sum8(_mm256_add_ps(value[0], value[1])) }
    }

    #[inline(always)]
    unsafe fn integers<const BITS: usize>(from: *const u8) -> Pair {
        // SAFETY: the contract of `Isa::integers`: `2 · BITS` bytes are readable; the CPU supports AVX2.
        unsafe {
            let bytes = load_bytes::<BITS>(from);
            if BITS == 8 {
                return [
                    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
                    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes))),
                ];
            }
            let bytes = _mm256_broadcastsi128_si256(bytes);
            let mask = _mm256_set1_epi32(Layout::<BITS>::MASK);
            let low = _mm256_and_si256(Self::windows::<BITS, 0>(bytes), mask);
            let high = _mm256_and_si256(Self::windows::<BITS, 1>(bytes), mask);
            [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
        }
    }

    #[inline(always)]
    unsafe fn nibbles(scale: f32, bias: f32) -> Self::Nibbles {
        // SAFETY: the contract of `Isa::nibbles`: the CPU supports AVX2.
        unsafe { (_mm256_set1_ps(scale), _mm256_set1_ps(bias)) }
    }

    #[inline(always)]
    unsafe fn scaled_nibbles((scale, bias): Self::Nibbles, from: *const u8) -> Pair {
        // SAFETY: the contract of `Isa::scaled_nibbles`: eight bytes are readable; the CPU supports AVX2.
        unsafe { Self::fma(Self::integers::<4>(from), [scale; 2], [bias; 2]) }
    }

    #[inline(always)]
    unsafe fn table(entries: &[f32; LANES], scale: f32) -> Pair {
        // SAFETY: the contract of `Isa::table`: the CPU supports AVX2.
        unsafe { Self::mul(Self::load(entries.as_ptr()), Self::splat(scale)) }
    }

    #[inline(always)]
    unsafe fn look_up(table: Pair, from: *const u8) -> Pair {
        // SAFETY: the contract of `Isa::look_up`: eight bytes are readable; the CPU supports AVX2.
        unsafe {
            let bytes = _mm256_broadcastsi128_si256(load_bytes::<4>(from));
            [
                Self::look_up_half(table, Self::windows::<4, 0>(bytes)),
                Self::look_up_half(table, Self::windows::<4, 1>(bytes)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn e4m3(from: *const u8) -> Pair {
        // SAFETY: the contract of `Isa::e4m3`: sixteen bytes are readable; the CPU supports AVX2.
        unsafe {
            let bytes = _mm_loadu_si128(from.cast());
            [
                Self::e4m3_half(_mm256_cvtepu8_epi32(bytes)),
                Self::e4m3_half(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes))),
            ]
        }
    }

    #[inline(always)]
    fn fma1(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// The sum of eight lanes: those 4 apart, then 2, then 1.
///
/// # Safety
/// The CPU supports AVX2.
#[inline(always)]
unsafe fn sum8(value: __m256) -> f32 {
    // SAFETY: the contract of this function.
    unsafe {
        let four = _mm_add_ps(
            _mm256_castps256_ps128(value),
            _mm256_extractf128_ps::<1>(value),
        );
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        let one = _mm_add_ss(two, _mm_movehdup_ps(two));
        _mm_cvtss_f32(one)
    }
}

/// AVX-512 F, BW, DQ and VL, and what [`Avx2`] has.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

impl Avx512 {
    /// The 16-bit windows that hold the integers, shifted into place but not masked.
    ///
    /// # Safety
    /// The CPU supports AVX-512 F and BW; `from` is readable for `2 · BITS` bytes, and `BITS` is 2, 3, 4, 5 or 6.
    #[inline(always)]
    unsafe fn windows<const BITS: usize>(from: *const u8) -> __m512i {
        // SAFETY: the contract of this function; `BYTES` and `SHIFTS` have 64 bytes each.
        unsafe {
            let bytes = if BITS == 4 {
                // Twice the eight bytes in every 128 bits; the copy is never selected. A load does it alone.
                _mm512_set1_epi64(from.cast::<i64>().read_unaligned())
            } else {
                _mm512_broadcast_i32x4(load_bytes::<BITS>(from))
            };
            let order = _mm512_loadu_si512(Layout::<BITS>::BYTES.as_ptr().cast());
            let shifts = _mm512_loadu_si512(Layout::<BITS>::SHIFTS.as_ptr().cast());
            _mm512_srlv_epi32(_mm512_shuffle_epi8(bytes, order), shifts)
        }
    }
}

impl Isa for Avx512 {
    type V = __m512;
    /// The sixteen values that a group can have.
    type Nibbles = __m512;
    type Table = __m512;
    const WIDE: bool = true;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        // SAFETY: the contract of `Isa::splat`: the CPU supports AVX-512.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the contract of `Isa::load`: sixteen values are readable; the CPU supports AVX-512.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: __m512) {
        // SAFETY: the contract of `Isa::store`: sixteen values are writable; the CPU supports AVX-512.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> __m512 {
        // SAFETY: the contract of `Isa::load_f16`: sixteen values are readable; the CPU supports AVX-512.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> __m512 {
        // SAFETY: the contract of `Isa::load_bf16`: sixteen values are readable; the CPU supports AVX-512.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> __m512 {
        // SAFETY: the contract of `Isa::load_i8`: sixteen values are readable; the CPU supports AVX-512.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, value: __m512) {
        // SAFETY: the contract of `Isa::store_f16`: sixteen values are writable; the CPU supports AVX-512.
        // With a NaN, min and max return their second operand.
        unsafe {
            let (low, high) = (_mm512_set1_ps(-F16_MAX), _mm512_set1_ps(F16_MAX));
            let value = _mm512_max_ps(low, _mm512_min_ps(high, value));
            let narrow = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value);
            _mm256_storeu_si256(to.cast(), narrow);
        }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the contract of `Isa::add`: the CPU supports AVX-512.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the contract of `Isa::mul`: the CPU supports AVX-512.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the contract of `Isa::fma`: the CPU supports AVX-512.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn sum(value: __m512) -> f32 {
        // SAFETY: the contract of `Isa::sum`: the CPU supports AVX-512 DQ.
        unsafe {
            sum8(_mm256_add_ps(
                _mm512_castps512_ps256(value),
                _mm512_extractf32x8_ps::<1>(value),
            ))
        }
    }

    #[inline(always)]
    unsafe fn integers<const BITS: usize>(from: *const u8) -> __m512 {
        // SAFETY: the contract of `Isa::integers`: `2 · BITS` bytes are readable; the CPU supports AVX-512.
        unsafe {
            if BITS == 8 {
                return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())));
            }
            let mask = _mm512_set1_epi32(Layout::<BITS>::MASK);
            _mm512_cvtepi32_ps(_mm512_and_si512(Self::windows::<BITS>(from), mask))
        }
    }

    #[inline(always)]
    unsafe fn nibbles(scale: f32, bias: f32) -> __m512 {
        // SAFETY: the contract of `Isa::nibbles`: the CPU supports AVX-512.
        unsafe {
            Self::fma(
                Self::load(DIGITS.as_ptr()),
                Self::splat(scale),
                Self::splat(bias),
            )
        }
    }

    #[inline(always)]
    unsafe fn scaled_nibbles(values: __m512, from: *const u8) -> __m512 {
        // SAFETY: the contract of `Isa::scaled_nibbles`: eight bytes are readable; the CPU supports AVX-512.
        unsafe { Self::look_up(values, from) }
    }

    #[inline(always)]
    unsafe fn table(entries: &[f32; LANES], scale: f32) -> __m512 {
        // SAFETY: the contract of `Isa::table`: the CPU supports AVX-512.
        unsafe { Self::mul(Self::load(entries.as_ptr()), Self::splat(scale)) }
    }

    #[inline(always)]
    unsafe fn look_up(table: __m512, from: *const u8) -> __m512 {
        // SAFETY: the contract of `Isa::look_up`: eight bytes are readable; the CPU supports AVX-512.
        // The permutation uses only the low four bits of each lane.
        unsafe { _mm512_permutexvar_ps(Self::windows::<4>(from), table) }
    }

    #[inline(always)]
    unsafe fn e4m3(from: *const u8) -> __m512 {
        // SAFETY: the contract of `Isa::e4m3`: sixteen bytes are readable; the CPU supports AVX-512 DQ.
        unsafe {
            let codes = _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()));
            let magnitude = _mm512_and_si512(codes, _mm512_set1_epi32(0x7f));
            let sign = _mm512_slli_epi32::<24>(_mm512_and_si512(codes, _mm512_set1_epi32(0x80)));
            let value = _mm512_mul_ps(
                _mm512_castsi512_ps(_mm512_slli_epi32::<20>(magnitude)),
                _mm512_set1_ps(f32::from_bits((120 + 127) << 23)),
            );
            let nan = _mm512_cmpeq_epi32_mask(magnitude, _mm512_set1_epi32(0x7f));
            let value = _mm512_mask_mov_ps(value, nan, _mm512_set1_ps(f32::NAN));
            _mm512_or_ps(value, _mm512_castsi512_ps(sign))
        }
    }

    #[inline(always)]
    fn fma1(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

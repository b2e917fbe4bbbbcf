//! NEON, alone and with its dot product and matrix instructions.
//!
//! The intrinsics of the latter are not stable in Rust yet, so they are written as assembly.

#![cfg_attr(
    not(test),
    expect(
        clippy::wildcard_imports,
        reason = "the names of intrinsics carry their own prefix"
    )
)]

use std::arch::{aarch64::*, asm};

use super::codes::CodeFormat;
use super::int8_dot::{Int8Dot, each_word};
use crate::cpu::{
    neon::{Neon as Lanes, four},
    simd::Isa,
};

/// Sixteen lanes of four bytes.
type FourCodes = [uint8x16_t; 4];
type FourSums = [int32x4_t; 4];

/// Four consecutive activations, repeated in every lane.
///
/// # Safety
/// `x` is readable for 4 values.
#[inline(always)]
unsafe fn four(x: *const i8) -> int8x16_t {
    // SAFETY: the contract of this function; NEON is always available.
    unsafe { vreinterpretq_s8_s32(vdupq_n_s32(x.cast::<i32>().read_unaligned())) }
}

/// Sixteen outputs at a time; the sets differ in their products alone.
macro_rules! sixteen_outputs {
    ($(#[$meta:meta])* $name:ident, $dot:ident $(, $($matrix:tt)+)?) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub(super) struct $name;

        impl Int8Dot for $name {
            const LANES: usize = 16;
            const ROWS: usize = 4;
            type Codes = FourCodes;
            type Sums = FourSums;
            type Floats = [float32x4_t; 4];

            #[inline(always)]
            unsafe fn load(from: *const u8) -> FourCodes {
                // SAFETY: the contract of `Int8Dot::load`: 64 bytes are readable.
                unsafe { four!(part => vld1q_u8(from.add(16 * part))) }
            }

            #[inline(always)]
            unsafe fn down<const N: u32>(codes: FourCodes) -> FourCodes {
                // SAFETY: NEON is always available. A left shift by a negative distance is a right shift.
                unsafe { four!(part => vshlq_u8(codes[part], vdupq_n_s8(-(N as i8)))) }
            }

            #[inline(always)]
            unsafe fn up<const N: u32>(codes: FourCodes) -> FourCodes {
                // SAFETY: the contract of `Int8Dot::up`: NEON is always available.
                unsafe { four!(part => vshlq_u8(codes[part], vdupq_n_s8(N as i8))) }
            }

            #[inline(always)]
            unsafe fn mask(codes: FourCodes, mask: u8) -> FourCodes {
                // SAFETY: the contract of `Int8Dot::mask`: NEON is always available.
                unsafe { four!(part => vandq_u8(codes[part], vdupq_n_u8(mask))) }
            }

            #[inline(always)]
            unsafe fn or(a: FourCodes, b: FourCodes) -> FourCodes {
                // SAFETY: the contract of `Int8Dot::or`: NEON is always available.
                unsafe { four!(part => vorrq_u8(a[part], b[part])) }
            }

            #[inline(always)]
            unsafe fn look_up(codes: FourCodes, table: &[u8; 16]) -> FourCodes {
                // SAFETY: the contract of `Int8Dot::look_up`: the table has sixteen bytes.
                unsafe {
                    let table = vld1q_u8(table.as_ptr());
                    four!(part => vqtbl1q_u8(table, codes[part]))
                }
            }

            #[inline(always)]
            unsafe fn zero() -> FourSums {
                // SAFETY: the contract of `Int8Dot::zero`: NEON is always available.
                unsafe { [vdupq_n_s32(0); 4] }
            }

            #[inline(always)]
            unsafe fn dot<const WIDE: bool>(
                sums: FourSums,
                codes: FourCodes,
                x: *const i8,
            ) -> FourSums {
                // SAFETY: the contract of `Int8Dot::dot`: four values are readable, and the CPU supports the
                // instructions of `$dot`.
                unsafe { $dot::<WIDE>(sums, codes, four(x)) }
            }

            #[inline(always)]
            unsafe fn to_floats(sums: FourSums) -> Self::Floats {
                // SAFETY: the contract of `Int8Dot::to_floats`: NEON is always available.
                unsafe { four!(part => vcvtq_f32_s32(sums[part])) }
            }

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self::Floats {
                // SAFETY: the contract of `Int8Dot::splat`: NEON is always available.
                unsafe { Lanes::splat(value) }
            }

            #[inline(always)]
            unsafe fn load_f32(from: *const f32) -> Self::Floats {
                // SAFETY: the contract of `Int8Dot::load_f32`: sixteen values are readable.
                unsafe { Lanes::load(from) }
            }

            #[inline(always)]
            unsafe fn load_f16(from: *const u16) -> Self::Floats {
                // SAFETY: the contract of `Int8Dot::load_f16`: sixteen values are readable.
                unsafe { Lanes::load_f16(from) }
            }

            #[inline(always)]
            unsafe fn load_bf16(from: *const u16) -> Self::Floats {
                // SAFETY: the contract of `Int8Dot::load_bf16`: sixteen values are readable.
                unsafe { Lanes::load_bf16(from) }
            }

            #[inline(always)]
            unsafe fn store(to: *mut f32, value: Self::Floats) {
                // SAFETY: the contract of `Int8Dot::store`: sixteen values are writable.
                unsafe { Lanes::store(to, value) }
            }

            #[inline(always)]
            unsafe fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats {
                // SAFETY: the contract of `Int8Dot::mul`: NEON is always available.
                unsafe { Lanes::mul(a, b) }
            }

            #[inline(always)]
            unsafe fn fma(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
                // SAFETY: the contract of `Int8Dot::fma`: NEON is always available.
                unsafe { Lanes::fma(a, b, c) }
            }

            $($($matrix)+)?
        }
    };
}

sixteen_outputs!(
    /// Bytes are multiplied into 16 bits and added in pairs.
    Neon,
    dot_neon
);
sixteen_outputs!(
    /// With dot products of signed bytes.
    Dotprod,
    dot_signed_bytes
);
sixteen_outputs!(
    /// With dot products of unsigned by signed bytes, and products of 2 by 8 with 8 by 2 matrices of them.
    I8mm,
    dot_mixed,
    #[inline(always)]
    unsafe fn chunk<C: CodeFormat, const R: usize>(
        chunk: *const u8,
        x: *const i8,
        stride: usize,
        low: &mut [FourSums; R],
        high: &mut [FourSums; R],
    ) {
        // SAFETY: the contract of `Int8Dot::chunk`; `R` is even where `matrices` is called.
        unsafe {
            if !by_matrices::<C>(R) {
                return each_word::<Self, C, R>(chunk, x, stride, low, high);
            }
            matrices::<C, 0, R>(chunk, x, stride, low);
            matrices::<C, 1, R>(chunk, x, stride, low);
            matrices::<C, 2, R>(chunk, x, stride, low);
            matrices::<C, 3, R>(chunk, x, stride, low);
        }
    }

    #[inline(always)]
    unsafe fn arrange<C: CodeFormat, const R: usize>(sums: &mut [FourSums; R]) {
        if by_matrices::<C>(R) {
            for pair in sums.as_chunks_mut().0 {
                *pair = split_rows(*pair);
            }
        }
    }
);

/// `sum + a · b` in lanes of four bytes.
#[inline(always)]
fn dot_neon_part(sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: NEON is always available. Two products of at most 128 · 127 fit 16 bits.
    unsafe {
        let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
        vpadalq_s16(sums, vpaddq_s16(low, vmull_high_s8(a, b)))
    }
}

/// # Safety
/// The CPU supports `dotprod`.
#[inline(always)]
unsafe fn sdot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the CPU supports the instruction by the contract of this function; it reads and writes only registers.
    unsafe {
        asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sums,
            in(vreg) a,
            in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// # Safety
/// The CPU supports `i8mm`.
#[inline(always)]
unsafe fn usdot(mut sums: int32x4_t, a: uint8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the CPU supports the instruction by the contract of this function; it reads and writes only registers.
    unsafe {
        asm!(
            "usdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sums,
            in(vreg) a,
            in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Adds the products of two rows of eight bytes with two rows of eight: with the first of `a` the two of `b`, then with
/// the second.
///
/// # Safety
/// The CPU supports `i8mm`.
#[inline(always)]
unsafe fn usmmla(mut sums: int32x4_t, a: uint8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the CPU supports the instruction by the contract of this function; it reads and writes only registers.
    unsafe {
        asm!(
            "usmmla {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sums,
            in(vreg) a,
            in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// The dot product of unsigned codes from one of signed bytes.
macro_rules! unsigned_from_signed {
    ($name:ident, $dot:ident) => {
        /// # Safety
        /// The CPU supports the instructions of `$dot`.
        #[inline(always)]
        unsafe fn $name<const WIDE: bool>(
            sums: FourSums,
            codes: FourCodes,
            x: int8x16_t,
        ) -> FourSums {
            // SAFETY: the contract of this function; NEON is always available.
            unsafe {
                if WIDE {
                    // A code is 128 more than a signed byte; −128 is one, too.
                    let excess = $dot(vdupq_n_s32(0), vdupq_n_s8(-128), x);
                    four!(part => {
                        let signed = vreinterpretq_s8_u8(veorq_u8(codes[part], vdupq_n_u8(128)));
                        vsubq_s32($dot(sums[part], signed, x), excess)
                    })
                } else {
                    four!(part => $dot(sums[part], vreinterpretq_s8_u8(codes[part]), x))
                }
            }
        }
    };
}

unsigned_from_signed!(dot_neon, dot_neon_part);
unsigned_from_signed!(dot_signed_bytes, sdot);

/// # Safety
/// The CPU supports `i8mm`.
#[inline(always)]
unsafe fn dot_mixed<const WIDE: bool>(sums: FourSums, codes: FourCodes, x: int8x16_t) -> FourSums {
    // SAFETY: the CPU supports `i8mm` by the contract of this function.
    unsafe { four!(part => usdot(sums[part], codes[part], x)) }
}

/// Whether rows are taken in pairs. The two words of a step share a matrix, so they must share a group, too.
#[inline(always)]
fn by_matrices<C: CodeFormat>(rows: usize) -> bool {
    rows.is_multiple_of(2) && !C::TWO_GROUPS
}

/// Multiplies words `T` and `T + 4` of a chunk with pairs of rows. The sums of a pair lie in its two places together:
/// the first has eight outputs, four numbers for every two of them, in the order of [`usmmla`].
///
/// # Safety
/// As for [`Int8Dot::chunk`] of [`I8mm`]; `R` is even.
#[inline(always)]
unsafe fn matrices<C: CodeFormat, const T: usize, const R: usize>(
    chunk: *const u8,
    x: *const i8,
    stride: usize,
    sums: &mut [FourSums; R],
) {
    // SAFETY: the contract of this function: `x` has 32 values for each of `R` rows, of which a pair reads its two.
    unsafe {
        let [first, second] = C::words::<I8mm, T>(chunk);
        let first = four!(part => vreinterpretq_u32_u8(first[part]));
        let second = four!(part => vreinterpretq_u32_u8(second[part]));
        let even = four!(part => vreinterpretq_u8_u32(vzip1q_u32(first[part], second[part])));
        let odd = four!(part => vreinterpretq_u8_u32(vzip2q_u32(first[part], second[part])));
        for (index, pair) in sums.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let pair = pair.as_flattened_mut();
            let x = x.add(4 * T + 2 * index * stride);
            let x = vcombine_s8(two_words(x), two_words(x.add(stride)));
            for part in 0..4 {
                pair[2 * part] = usmmla(pair[2 * part], even[part], x);
                pair[2 * part + 1] = usmmla(pair[2 * part + 1], odd[part], x);
            }
        }
    }
}

/// The words at `x` and half a chunk later.
///
/// # Safety
/// `x` is readable for 4 values and for 4 values half a chunk later.
#[inline(always)]
unsafe fn two_words(x: *const i8) -> int8x8_t {
    // SAFETY: the contract of this function; NEON is always available.
    unsafe {
        let word = |from: *const i8| u64::from(from.cast::<u32>().read_unaligned());
        vcreate_s8(word(x) | word(x.add(super::CHUNK / 2)) << 32)
    }
}

/// The sums of two rows from those of [`matrices`].
#[inline(always)]
fn split_rows([a, b]: [FourSums; 2]) -> [FourSums; 2] {
    let (first, second) = ([a[0], a[2], b[0], b[2]], [a[1], a[3], b[1], b[3]]);
    // SAFETY: NEON is always available.
    unsafe {
        [
            four!(part => vuzp1q_s32(first[part], second[part])),
            four!(part => vuzp2q_s32(first[part], second[part])),
        ]
    }
}

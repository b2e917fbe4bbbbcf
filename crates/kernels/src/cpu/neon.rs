//! NEON, which every 64-bit Arm CPU has.

#![cfg_attr(
    not(test),
    expect(
        clippy::wildcard_imports,
        reason = "the names of intrinsics carry their own prefix"
    )
)]

use std::arch::aarch64::*;

use super::layout::Layout;
use super::simd::{F16_MAX, Isa, LANES};

/// 128-bit vectors, four of them for sixteen lanes.
#[derive(Clone, Copy)]
pub(crate) struct Neon;

type Four = [float32x4_t; 4];

/// Evaluates an expression for each of four parts. A closure might not be inlined into the function that enables the
/// instructions.
macro_rules! four {
    ($part:ident => $value:expr) => {
        [
            {
                let $part = 0;
                $value
            },
            {
                let $part = 1;
                $value
            },
            {
                let $part = 2;
                $value
            },
            {
                let $part = 3;
                $value
            },
        ]
    };
}
pub(crate) use four;

/// Loads `2 · BITS` bytes to the low end of a register, and does not read beyond them.
///
/// # Safety
/// `from` is readable for `2 · BITS` bytes; `BITS` is 2, 3, 5 or 6.
#[inline(always)]
unsafe fn load_bytes<const BITS: usize>(from: *const u8) -> uint8x16_t {
    // SAFETY: the contract of this function: every read is inside the `2 · BITS` bytes. NEON is always available.
    unsafe {
        let (low, high) = match BITS {
            2 => (u64::from(from.cast::<u32>().read_unaligned()), 0),
            3 => {
                let low = u64::from(from.cast::<u32>().read_unaligned());
                let high = u64::from(from.add(4).cast::<u16>().read_unaligned());
                (low | high << 32, 0)
            }
            _ => {
                // The rest is 2 or 4 bytes after the first 8; it is read as the end of an overlapping word.
                let low = from.cast::<u64>().read_unaligned();
                let last = from.add(2 * BITS - 8).cast::<u64>().read_unaligned();
                (low, last >> (8 * (16 - 2 * BITS)))
            }
        };
        vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)))
    }
}

/// The sixteen 4-bit codes of 8 bytes, a byte each.
///
/// # Safety
/// `from` is readable for 8 bytes.
#[inline(always)]
unsafe fn nibble_bytes(from: *const u8) -> uint8x16_t {
    // SAFETY: the contract of this function; NEON is always available.
    unsafe {
        let bytes = vld1_u8(from);
        let (low, high) = (vand_u8(bytes, vdup_n_u8(15)), vshr_n_u8::<4>(bytes));
        vcombine_u8(vzip1_u8(low, high), vzip2_u8(low, high))
    }
}

/// Widens every byte.
#[inline(always)]
fn widen(bytes: uint8x16_t) -> [uint32x4_t; 4] {
    // SAFETY: NEON is always available.
    unsafe {
        let low = vmovl_u8(vget_low_u8(bytes));
        let high = vmovl_high_u8(bytes);
        [
            vmovl_u16(vget_low_u16(low)),
            vmovl_high_u16(low),
            vmovl_u16(vget_low_u16(high)),
            vmovl_high_u16(high),
        ]
    }
}

#[inline(always)]
fn convert(integers: [uint32x4_t; 4]) -> Four {
    // SAFETY: NEON is always available.
    unsafe { four!(part => vcvtq_f32_u32(integers[part])) }
}

impl Isa for Neon {
    type V = Four;
    type Nibbles = (f32, f32);
    /// The entries' bytes, for byte look-ups.
    type Table = uint8x16x4_t;
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Four {
        // SAFETY: the contract of `Isa::splat`: NEON is always available.
        unsafe { [vdupq_n_f32(value); 4] }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Four {
        // SAFETY: the contract of `Isa::load`: sixteen values are readable.
        unsafe { four!(part => vld1q_f32(from.add(4 * part))) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: Four) {
        for part in 0..4 {
            // SAFETY: the contract of `Isa::store`: sixteen values are writable.
            unsafe { vst1q_f32(to.add(4 * part), value[part]) };
        }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Four {
        // SAFETY: the contract of `Isa::load_f16`: sixteen values are readable.
        unsafe { four!(part => vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from.add(4 * part))))) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Four {
        // SAFETY: the contract of `Isa::load_bf16`: sixteen values are readable.
        unsafe {
            four!(part => vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.add(4 * part)))))
        }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Four {
        // SAFETY: the contract of `Isa::load_i8`: sixteen values are readable.
        unsafe {
            let bytes = vld1q_s8(from);
            let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
            [
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
                vcvtq_f32_s32(vmovl_high_s16(low)),
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                vcvtq_f32_s32(vmovl_high_s16(high)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, value: Four) {
        for part in 0..4 {
            // SAFETY: the contract of `Isa::store_f16`: sixteen values are writable. The minimum and maximum of
            // a NaN are NaN.
            unsafe {
                let value = vminq_f32(value[part], vdupq_n_f32(F16_MAX));
                let value = vmaxq_f32(value, vdupq_n_f32(-F16_MAX));
                let narrow = vreinterpret_u16_f16(vcvt_f16_f32(value));
                vst1_u16(to.add(4 * part), narrow);
            }
        }
    }

    #[inline(always)]
    unsafe fn add(a: Four, b: Four) -> Four {
        // SAFETY: the contract of `Isa::add`: NEON is always available.
        unsafe { four!(part => vaddq_f32(a[part], b[part])) }
    }

    #[inline(always)]
    unsafe fn mul(a: Four, b: Four) -> Four {
        // SAFETY: the contract of `Isa::mul`: NEON is always available.
        unsafe { four!(part => vmulq_f32(a[part], b[part])) }
    }

    #[inline(always)]
    unsafe fn fma(a: Four, b: Four, c: Four) -> Four {
        // SAFETY: the contract of `Isa::fma`: NEON is always available.
        unsafe { four!(part => vfmaq_f32(c[part], a[part], b[part])) }
    }

    #[inline(always)]
    unsafe fn sum([a, b, c, d]: Four) -> f32 {
        // SAFETY: the contract of `Isa::sum`: NEON is always available.
        unsafe {
            let four = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
            let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        }
    }

    #[inline(always)]
    unsafe fn integers<const BITS: usize>(from: *const u8) -> Four {
        // SAFETY: the contract of `Isa::integers`: `2 · BITS` bytes are readable. `BYTES` has 64 bytes and `SHIFTS`
        // 16 values.
        unsafe {
            if BITS == 8 {
                return convert(widen(vld1q_u8(from)));
            }
            if BITS == 4 {
                return convert(widen(nibble_bytes(from)));
            }
            let bytes = load_bytes::<BITS>(from);
            let mask = vdupq_n_u32(Layout::<BITS>::MASK as u32);
            convert(four!(part => {
                let order = vld1q_u8(Layout::<BITS>::BYTES.as_ptr().add(16 * part));
                let shifts = vld1q_u32(Layout::<BITS>::SHIFTS.as_ptr().add(4 * part));
                let windows = vreinterpretq_u32_u8(vqtbl1q_u8(bytes, order));
                // A shift to the left by a negative distance is one to the right.
                let left = vnegq_s32(vreinterpretq_s32_u32(shifts));
                vandq_u32(vshlq_u32(windows, left), mask)
            }))
        }
    }

    #[inline(always)]
    unsafe fn nibbles(scale: f32, bias: f32) -> Self::Nibbles {
        (scale, bias)
    }

    #[inline(always)]
    unsafe fn scaled_nibbles((scale, bias): Self::Nibbles, from: *const u8) -> Four {
        // SAFETY: the contract of `Isa::scaled_nibbles`: eight bytes are readable.
        unsafe {
            let integers = Self::integers::<4>(from);
            Self::fma(integers, Self::splat(scale), Self::splat(bias))
        }
    }

    #[inline(always)]
    unsafe fn table(entries: &[f32; LANES], scale: f32) -> Self::Table {
        // SAFETY: `entries` has sixteen values; NEON is always available.
        unsafe {
            let entries = Self::mul(Self::load(entries.as_ptr()), Self::splat(scale));
            let [a, b, c, d] = four!(part => vreinterpretq_u8_f32(entries[part]));
            uint8x16x4_t(a, b, c, d)
        }
    }

    #[inline(always)]
    unsafe fn look_up(table: Self::Table, from: *const u8) -> Four {
        // SAFETY: the contract of `Isa::look_up`: eight bytes are readable.
        unsafe {
            let first = widen(vshlq_n_u8::<2>(nibble_bytes(from)));
            four!(part => {
                // The entry's first byte in every byte of a lane, plus the byte's place in the entry.
                let every = vmulq_n_u32(first[part], 0x0101_0101);
                let order = vreinterpretq_u8_u32(vorrq_u32(every, vdupq_n_u32(0x0302_0100)));
                vreinterpretq_f32_u8(vqtbl4q_u8(table, order))
            })
        }
    }

    #[inline(always)]
    unsafe fn e4m3(from: *const u8) -> Four {
        // SAFETY: the contract of `Isa::e4m3`: sixteen bytes are readable.
        unsafe {
            let codes = widen(vld1q_u8(from));
            four!(part => {
                let magnitude = vandq_u32(codes[part], vdupq_n_u32(0x7f));
                let sign = vshlq_n_u32::<24>(vandq_u32(codes[part], vdupq_n_u32(0x80)));
                let nan = vceqq_u32(magnitude, vdupq_n_u32(0x7f));
                let value = vmulq_n_f32(
                    vreinterpretq_f32_u32(vshlq_n_u32::<20>(magnitude)),
                    f32::from_bits((120 + 127) << 23),
                );
                let value = vorrq_u32(vreinterpretq_u32_f32(value), sign);
                vreinterpretq_f32_u32(vorrq_u32(value, nan))
            })
        }
    }

    #[inline(always)]
    fn fma1(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

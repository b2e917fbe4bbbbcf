//! Integer dot products on every instruction set.

use super::{CHUNK, ScaleFormat, codes::CodeFormat};
use crate::cpu::simd::{widen_bf16, widen_f16};
use crate::{FloatType, quant};

/// The instruction sets for integer dot products, chosen between at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Int8DotLevel {
    /// Plain code, one output at a time.
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    NeonDotprod,
    #[cfg(target_arch = "aarch64")]
    NeonI8mm,
}

impl Int8DotLevel {
    /// Every level this CPU has, the best last.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(
            not(any(target_arch = "x86_64", target_arch = "aarch64")),
            expect(unused_mut, reason = "other CPUs have one level")
        )]
        let mut levels = vec![Self::Scalar];
        #[cfg(target_arch = "aarch64")]
        {
            levels.push(Self::Neon);
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                levels.push(Self::NeonDotprod);
                if std::arch::is_aarch64_feature_detected!("i8mm") {
                    levels.push(Self::NeonI8mm);
                }
            }
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            levels.push(Self::Avx2);
            if is_x86_feature_detected!("avxvnni") {
                levels.push(Self::AvxVnni);
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vnni")
            {
                levels.push(Self::Avx512Vnni);
            }
        }
        levels
    }

    /// The best level this CPU has.
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::Scalar)
    }
}

/// An instruction set that works on [`Int8Dot::LANES`] outputs at a time.
///
/// The methods execute instructions of the set, and must be inlined into a function that enables them to be fast.
/// Pointers need no alignment.
pub(crate) trait Int8Dot: Copy {
    /// Outputs of a register; divides the outputs of a tile.
    const LANES: usize;
    /// Activation rows whose sums stay in registers: 4, 8 or 16.
    const ROWS: usize;
    /// Four bytes per lane.
    type Codes: Copy;
    /// One i32 per lane.
    type Sums: Copy;
    /// One f32 per lane.
    type Floats: Copy;

    /// `4 · LANES` bytes.
    ///
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for `4 · LANES` bytes.
    unsafe fn load(from: *const u8) -> Self::Codes;
    /// Moves bits down by `N`; what crosses the border of a byte is garbage in its high bits.
    ///
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn down<const N: u32>(codes: Self::Codes) -> Self::Codes;
    /// Moves bits up by `N`; what crosses the border of a byte is garbage in its low bits.
    ///
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn up<const N: u32>(codes: Self::Codes) -> Self::Codes;
    /// Keeps the bits of `mask` in every byte.
    ///
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn mask(codes: Self::Codes, mask: u8) -> Self::Codes;
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn or(a: Self::Codes, b: Self::Codes) -> Self::Codes;
    /// The table entry for every byte; all bytes are below 16.
    ///
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn look_up(codes: Self::Codes, table: &[u8; 16]) -> Self::Codes;

    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn zero() -> Self::Sums;
    /// Adds to each lane the products of its four bytes with the four values at `x`. With `WIDE`, bytes may have all
    /// eight bits set, else at most six; values are in −127 ..= 127.
    ///
    /// # Safety
    /// The CPU supports `Self`; `x` is readable for 4 values.
    unsafe fn dot<const WIDE: bool>(
        sums: Self::Sums,
        codes: Self::Codes,
        x: *const i8,
    ) -> Self::Sums;
    /// Adds the products of a chunk with `R` rows, `stride` values apart, to `low`, and those of its second half to
    /// `high` where [`CodeFormat::TWO_GROUPS`] is set. The sums may be permuted until [`Int8Dot::arrange`].
    ///
    /// # Safety
    /// The CPU supports `Self`; `chunk` is readable as for [`CodeFormat::words`], and `x` for 32 values of each of
    /// `R` rows.
    #[inline(always)]
    unsafe fn chunk<C: CodeFormat, const R: usize>(
        chunk: *const u8,
        x: *const i8,
        stride: usize,
        low: &mut [Self::Sums; R],
        high: &mut [Self::Sums; R],
    ) {
        // SAFETY: the contract of this function.
        unsafe { each_word::<Self, C, R>(chunk, x, stride, low, high) }
    }
    /// Undoes the permutation of sums by [`Int8Dot::chunk`].
    ///
    /// # Safety
    /// The CPU supports `Self`.
    #[inline(always)]
    unsafe fn arrange<C: CodeFormat, const R: usize>(_sums: &mut [Self::Sums; R]) {}
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn to_floats(sums: Self::Sums) -> Self::Floats;

    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn splat(value: f32) -> Self::Floats;
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for `LANES` values.
    unsafe fn load_f32(from: *const f32) -> Self::Floats;
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for `LANES` values.
    unsafe fn load_f16(from: *const u16) -> Self::Floats;
    /// # Safety
    /// The CPU supports `Self`; `from` is readable for `LANES` values.
    unsafe fn load_bf16(from: *const u16) -> Self::Floats;
    /// # Safety
    /// The CPU supports `Self`; `to` is writable for `LANES` values.
    unsafe fn store(to: *mut f32, value: Self::Floats);
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a · b + c`, rounded once wherever the CPU can.
    ///
    /// # Safety
    /// The CPU supports `Self`.
    unsafe fn fma(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
}

/// [`Int8Dot::chunk`] word by word.
///
/// # Safety
/// As for [`Int8Dot::chunk`].
#[inline(always)]
pub(super) unsafe fn each_word<D: Int8Dot, C: CodeFormat, const R: usize>(
    chunk: *const u8,
    x: *const i8,
    stride: usize,
    low: &mut [D::Sums; R],
    high: &mut [D::Sums; R],
) {
    // SAFETY: the contract of this function.
    unsafe {
        step::<D, C, 0, R>(chunk, x, stride, low, high);
        step::<D, C, 1, R>(chunk, x, stride, low, high);
        step::<D, C, 2, R>(chunk, x, stride, low, high);
        step::<D, C, 3, R>(chunk, x, stride, low, high);
    }
}

/// Multiplies words `T` and `T + 4` of a chunk. Their sums are kept apart only where they belong to two groups.
///
/// # Safety
/// As for [`Int8Dot::chunk`].
#[inline(always)]
unsafe fn step<D: Int8Dot, C: CodeFormat, const T: usize, const R: usize>(
    chunk: *const u8,
    x: *const i8,
    stride: usize,
    low: &mut [D::Sums; R],
    high: &mut [D::Sums; R],
) {
    // SAFETY: the contract of this function; the words of a row are the values `4 · T ..` and 16 later, inside the 32
    // of a chunk.
    unsafe {
        let [first, second] = C::words::<D, T>(chunk);
        let x = x.add(4 * T);
        for r in 0..R {
            low[r] = if C::WIDE {
                D::dot::<true>(low[r], first, x.add(r * stride))
            } else {
                D::dot::<false>(low[r], first, x.add(r * stride))
            };
        }
        let x = x.add(CHUNK / 2);
        let sums = if C::TWO_GROUPS { high } else { low };
        for r in 0..R {
            sums[r] = if C::WIDE {
                D::dot::<true>(sums[r], second, x.add(r * stride))
            } else {
                D::dot::<false>(sums[r], second, x.add(r * stride))
            };
        }
    }
}

/// Scales and biases of one group for the lanes from `lane` on; `from` is where the group's scales begin.
///
/// # Safety
/// The CPU supports `D`; `format.bytes()` bytes are readable at `from`, and `lane + D::LANES` is at most sixteen.
#[inline(always)]
pub(super) unsafe fn scales<D: Int8Dot>(
    from: *const u8,
    format: ScaleFormat,
    lane: usize,
) -> (D::Floats, D::Floats) {
    // SAFETY: the contract of this function: there are sixteen scales, followed by sixteen biases in affine mode.
    unsafe {
        match format {
            ScaleFormat::Affine(FloatType::F16) => {
                let from = from.cast::<u16>().add(lane);
                (D::load_f16(from), D::load_f16(from.add(super::TILE)))
            }
            ScaleFormat::Affine(FloatType::BF16) => {
                let from = from.cast::<u16>().add(lane);
                (D::load_bf16(from), D::load_bf16(from.add(super::TILE)))
            }
            ScaleFormat::Affine(FloatType::F32) => {
                let from = from.cast::<f32>().add(lane);
                (D::load_f32(from), D::load_f32(from.add(super::TILE)))
            }
            // The looked-up integers are twice the value, plus 12.
            ScaleFormat::E8m0 => {
                let scales =
                    half_scales::<D>(from.add(lane), |code| 0.5 * quant::e8m0_to_f32(code));
                (scales, D::mul(scales, D::splat(-12.0)))
            }
            ScaleFormat::E4m3(factor) => {
                let scales = half_scales::<D>(from.add(lane), |code| {
                    0.5 * factor * quant::e4m3_to_f32(code)
                });
                (scales, D::mul(scales, D::splat(-12.0)))
            }
        }
    }
}

/// # Safety
/// The CPU supports `D`. `from` is readable for `LANES` bytes.
#[inline(always)]
unsafe fn half_scales<D: Int8Dot>(from: *const u8, widen: impl Fn(u8) -> f32) -> D::Floats {
    let mut lanes = [0.0; super::TILE];
    // SAFETY: the contract of this function: `LANES` bytes are readable, and `lanes` has no fewer elements.
    unsafe {
        for lane in 0..D::LANES {
            lanes[lane] = widen(*from.add(lane));
        }
        D::load_f32(lanes.as_ptr())
    }
}

/// Plain code: one output.
#[derive(Clone, Copy)]
pub(super) struct Scalar;

impl Int8Dot for Scalar {
    const LANES: usize = 1;
    const ROWS: usize = 4;
    type Codes = u32;
    type Sums = i32;
    type Floats = f32;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> u32 {
        // SAFETY: the contract of `Int8Dot::load`: four bytes are readable.
        u32::from_le(unsafe { from.cast::<u32>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn down<const N: u32>(codes: u32) -> u32 {
        codes >> N
    }

    #[inline(always)]
    unsafe fn up<const N: u32>(codes: u32) -> u32 {
        codes << N
    }

    #[inline(always)]
    unsafe fn mask(codes: u32, mask: u8) -> u32 {
        codes & u32::from_ne_bytes([mask; 4])
    }

    #[inline(always)]
    unsafe fn or(a: u32, b: u32) -> u32 {
        a | b
    }

    #[inline(always)]
    unsafe fn look_up(codes: u32, table: &[u8; 16]) -> u32 {
        u32::from_le_bytes(
            codes
                .to_le_bytes()
                .map(|code| table[usize::from(code & 15)]),
        )
    }

    #[inline(always)]
    unsafe fn zero() -> i32 {
        0
    }

    #[inline(always)]
    unsafe fn dot<const WIDE: bool>(sum: i32, codes: u32, x: *const i8) -> i32 {
        // SAFETY: the contract of `Int8Dot::dot`: four values are readable.
        let x = unsafe { x.cast::<[i8; 4]>().read_unaligned() };
        let products = codes.to_le_bytes().into_iter().zip(x);
        products.fold(sum, |sum, (code, x)| sum + i32::from(code) * i32::from(x))
    }

    #[inline(always)]
    unsafe fn to_floats(sum: i32) -> f32 {
        sum as f32
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    unsafe fn load_f32(from: *const f32) -> f32 {
        // SAFETY: the contract of `Int8Dot::load_f32`: one value is readable.
        unsafe { from.read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> f32 {
        // SAFETY: the contract of `Int8Dot::load_f16`: one value is readable.
        widen_f16(unsafe { from.read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> f32 {
        // SAFETY: the contract of `Int8Dot::load_bf16`: one value is readable.
        widen_bf16(unsafe { from.read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: f32) {
        // SAFETY: the contract of `Int8Dot::store`: one value is writable.
        unsafe { to.write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn mul(a: f32, b: f32) -> f32 {
        a * b
    }

    #[inline(always)]
    unsafe fn fma(a: f32, b: f32, c: f32) -> f32 {
        crate::cpu::simd::plain_fma(a, b, c)
    }
}

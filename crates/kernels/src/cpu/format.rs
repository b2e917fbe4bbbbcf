//! Dequantization of the stored formats to vectors.

use super::{
    prefetch,
    simd::{Isa, LANES, widen_bf16, widen_f16},
};
use crate::{
    quant::{self, E2M1},
    weight::{Floats, Quantized, Scales, Storage, Weight},
};

/// The storage format of a weight. Values are stored in units of sixteen; the units of a group share scale and bias.
pub(crate) trait Format {
    /// Per-group data.
    type Group<I: Isa>: Copy;
    /// Bytes of sixteen values.
    const UNIT_BYTES: usize;

    /// Prepares [`Format::unit`] for a group.
    ///
    /// # Safety
    /// The CPU supports `I`.
    unsafe fn group<I: Isa>(scale: f32, bias: f32) -> Self::Group<I>;
    /// Sixteen values.
    ///
    /// # Safety
    /// The CPU supports `I`; `from` is readable for `UNIT_BYTES` bytes.
    unsafe fn unit<I: Isa>(group: Self::Group<I>, from: *const u8) -> I::V;
}

/// Plain floats of one of the three types.
macro_rules! dense {
    ($name:ident, $bytes:literal, $load:ident, $element:ty) => {
        pub(crate) struct $name;

        impl Format for $name {
            type Group<I: Isa> = ();
            const UNIT_BYTES: usize = $bytes;

            #[inline(always)]
            unsafe fn group<I: Isa>(_scale: f32, _bias: f32) {}

            #[inline(always)]
            unsafe fn unit<I: Isa>((): (), from: *const u8) -> I::V {
                // SAFETY: the contract of `Format::unit`.
                unsafe { I::$load(from.cast::<$element>()) }
            }
        }
    };
}
dense!(DenseF32, 64, load, f32);
dense!(DenseF16, 32, load_f16, u16);
dense!(DenseBf16, 32, load_bf16, u16);

/// Affine integers of any width.
pub(crate) struct Affine<const BITS: usize>;

impl<const BITS: usize> Format for Affine<BITS> {
    type Group<I: Isa> = (I::V, I::V);
    const UNIT_BYTES: usize = 2 * BITS;

    #[inline(always)]
    unsafe fn group<I: Isa>(scale: f32, bias: f32) -> Self::Group<I> {
        // SAFETY: the contract of `Format::group`.
        unsafe { (I::splat(scale), I::splat(bias)) }
    }

    #[inline(always)]
    unsafe fn unit<I: Isa>((scale, bias): Self::Group<I>, from: *const u8) -> I::V {
        // SAFETY: the contract of `Format::unit`.
        unsafe { I::fma(I::integers::<BITS>(from), scale, bias) }
    }
}

/// Affine 4-bit integers, for which a group has only sixteen values.
pub(crate) struct AffineNibbles;

impl Format for AffineNibbles {
    type Group<I: Isa> = I::Nibbles;
    const UNIT_BYTES: usize = 8;

    #[inline(always)]
    unsafe fn group<I: Isa>(scale: f32, bias: f32) -> I::Nibbles {
        // SAFETY: the contract of `Format::group`.
        unsafe { I::nibbles(scale, bias) }
    }

    #[inline(always)]
    unsafe fn unit<I: Isa>(group: I::Nibbles, from: *const u8) -> I::V {
        // SAFETY: the contract of `Format::unit`.
        unsafe { I::scaled_nibbles(group, from) }
    }
}

/// E2M1 floats: mxfp4 and nvfp4.
pub(crate) struct Fp4;

impl Format for Fp4 {
    type Group<I: Isa> = I::Table;
    const UNIT_BYTES: usize = 8;

    #[inline(always)]
    unsafe fn group<I: Isa>(scale: f32, _bias: f32) -> I::Table {
        // SAFETY: the contract of `Format::group`.
        unsafe { I::table(&E2M1, scale) }
    }

    #[inline(always)]
    unsafe fn unit<I: Isa>(group: I::Table, from: *const u8) -> I::V {
        // SAFETY: the contract of `Format::unit`.
        unsafe { I::look_up(group, from) }
    }
}

/// E4M3 floats: mxfp8.
pub(crate) struct Fp8;

impl Format for Fp8 {
    type Group<I: Isa> = I::V;
    const UNIT_BYTES: usize = 16;

    #[inline(always)]
    unsafe fn group<I: Isa>(scale: f32, _bias: f32) -> I::V {
        // SAFETY: the contract of `Format::group`.
        unsafe { I::splat(scale) }
    }

    #[inline(always)]
    unsafe fn unit<I: Isa>(scale: I::V, from: *const u8) -> I::V {
        // SAFETY: the contract of `Format::unit`.
        unsafe { I::mul(I::e4m3(from), scale) }
    }
}

/// Runs `$body` with `$format` naming the storage format of `$weight`.
macro_rules! with_format {
    ($weight:expr, $format:ident => $body:expr) => {{
        use $crate::{
            cpu::format::{Affine, AffineNibbles, DenseBf16, DenseF16, DenseF32, Fp4, Fp8},
            quant::QuantMode,
            weight::{Floats, Storage},
        };
        macro_rules! run {
            ($kind:ty) => {{
                type $format = $kind;
                $body
            }};
        }
        match $weight.storage() {
            Storage::Dense(Floats::F32(_)) => run!(DenseF32),
            Storage::Dense(Floats::F16(_)) => run!(DenseF16),
            Storage::Dense(Floats::BF16(_)) => run!(DenseBf16),
            Storage::Quantized(quantized) => match (quantized.spec.mode, quantized.spec.bits) {
                (QuantMode::Affine, 2) => run!(Affine<2>),
                (QuantMode::Affine, 3) => run!(Affine<3>),
                (QuantMode::Affine, 4) => run!(AffineNibbles),
                (QuantMode::Affine, 5) => run!(Affine<5>),
                (QuantMode::Affine, 6) => run!(Affine<6>),
                (QuantMode::Affine, _) => run!(Affine<8>),
                (QuantMode::Mxfp4 | QuantMode::Nvfp4, _) => run!(Fp4),
                (QuantMode::Mxfp8, _) => run!(Fp8),
            },
            Storage::Repacked(_) => unreachable!("repacked weights have their own kernels"),
        }
    }};
}
pub(crate) use with_format;

/// A weight as rows of units.
pub(crate) struct Packed<'a> {
    bytes: &'a [u8],
    row_bytes: usize,
    quantized: Option<&'a Quantized>,
    /// Groups of a row; a dense row is one.
    pub groups: usize,
    /// Whole units of a group.
    pub units_per_group: usize,
    /// Values after the last whole unit of a row; only dense rows have any.
    pub tail: usize,
}

impl<'a> Packed<'a> {
    pub fn new(weight: &'a Weight) -> Self {
        let cols = weight.cols();
        match weight.storage() {
            Storage::Dense(values) => Self {
                bytes: values.as_bytes(),
                row_bytes: values.as_bytes().len() / weight.rows(),
                quantized: None,
                groups: 1,
                units_per_group: cols / LANES,
                tail: cols % LANES,
            },
            Storage::Repacked(_) => unreachable!("repacked weights have their own kernels"),
            Storage::Quantized(quantized) => Self {
                bytes: quantized.weight.as_slice(),
                row_bytes: quantized.row_bytes,
                quantized: Some(quantized),
                groups: quantized.groups_per_row,
                units_per_group: quantized.spec.group_size / LANES,
                tail: 0,
            },
        }
    }

    /// The stored bytes of a row.
    #[inline(always)]
    pub fn row(&self, row: usize) -> *const u8 {
        self.bytes[row * self.row_bytes..][..self.row_bytes].as_ptr()
    }

    /// Prefetches `count` rows at some distance after `row`: rows are too short for the hardware prefetcher.
    #[inline(never)]
    pub fn prefetch(&self, row: usize, count: usize) {
        const AHEAD_BYTES: usize = 4096;
        let first = row + AHEAD_BYTES.div_ceil(self.row_bytes);
        prefetch(self.bytes, self.row_bytes, first, count);
        match self.quantized.map(|quantized| &quantized.scales) {
            Some(Scales::Affine { scales, biases }) => {
                for stored in [scales, biases] {
                    let row_bytes = self.groups * stored.element_bytes();
                    prefetch(stored.as_bytes(), row_bytes, first, count);
                }
            }
            Some(Scales::E8m0(codes) | Scales::E4m3 { codes, .. }) => {
                prefetch(codes.as_slice(), self.groups, first, count);
            }
            None => {}
        }
    }

    /// Widens the scales and biases of a row, `groups` of each. Not inlined, because every format on every
    /// instruction set would contain several copies.
    #[inline(never)]
    pub fn scales(&self, row: usize, scales: &mut [f32], biases: &mut [f32]) {
        let Some(quantized) = self.quantized else {
            return;
        };
        let range = row * self.groups..(row + 1) * self.groups;
        match &quantized.scales {
            Scales::Affine {
                scales: stored_scales,
                biases: stored_biases,
            } => {
                widen(stored_scales, range.clone(), scales);
                widen(stored_biases, range, biases);
            }
            Scales::E8m0(codes) => {
                for (scale, code) in scales.iter_mut().zip(&codes.as_slice()[range]) {
                    *scale = quant::e8m0_to_f32(*code);
                }
            }
            Scales::E4m3 { codes, factor } => {
                for (scale, code) in scales.iter_mut().zip(&codes.as_slice()[range]) {
                    *scale = quant::e4m3_to_f32(*code) * factor;
                }
            }
        }
    }
}

#[inline(always)]
fn widen(stored: &Floats, range: std::ops::Range<usize>, out: &mut [f32]) {
    match stored {
        Floats::F32(stored) => out[..range.len()].copy_from_slice(&stored[range]),
        Floats::F16(stored) => {
            for (out, stored) in out.iter_mut().zip(&stored[range]) {
                *out = widen_f16(*stored);
            }
        }
        Floats::BF16(stored) => {
            for (out, stored) in out.iter_mut().zip(&stored[range]) {
                *out = widen_bf16(*stored);
            }
        }
    }
}

/// Prefetches the existing rows of `first .. first + count`.
#[inline(always)]
fn prefetch(bytes: &[u8], row_bytes: usize, first: usize, count: usize) {
    let start = (first * row_bytes).min(bytes.len());
    let end = ((first + count) * row_bytes).min(bytes.len());
    prefetch::prefetch(bytes.as_ptr(), start..end);
}

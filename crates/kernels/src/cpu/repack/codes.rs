//! The formats of codes: how a chunk is unpacked to words of unsigned bytes.

use super::{
    CHUNK, ScaleFormat, TILE, VECTOR,
    int8_dot::{Int8Dot, Scalar, scales},
};

/// A format of codes.
pub(crate) trait CodeFormat {
    /// Bits of a code, and vectors of a chunk.
    const BITS: usize;
    /// Whether unpacked bytes may be 64 or more.
    const WIDE: bool = false;
    /// Columns of a group are half a chunk.
    const TWO_GROUPS: bool = false;

    /// Words `T` and `T + 4` of `D::LANES` outputs of a chunk. `chunk` is the address of the first of these outputs
    /// in the first vector. `T` is below 4.
    ///
    /// # Safety
    /// The CPU supports `D`; `4 · D::LANES` bytes are readable at `chunk` and at the same place of the `BITS - 1`
    /// vectors after it.
    unsafe fn words<D: Int8Dot, const T: usize>(chunk: *const u8) -> [D::Codes; 2];
}

/// Words `T` and `T + 4` of a 4-bit plane.
///
/// # Safety
/// As for [`CodeFormat::words`], for the four vectors from `plane` on.
#[inline(always)]
unsafe fn plane4<D: Int8Dot, const T: usize>(plane: *const u8) -> [D::Codes; 2] {
    // SAFETY: the contract of this function.
    unsafe {
        let both = D::load(plane.add(T * VECTOR));
        [D::mask(both, 15), D::mask(D::down::<4>(both), 15)]
    }
}

/// Words `T` and `T + 4` of a 2-bit plane, moved up by `UP` bits, 0 or 4.
///
/// # Safety
/// As for [`CodeFormat::words`], for the two vectors from `plane` on.
#[inline(always)]
unsafe fn plane2<D: Int8Dot, const T: usize, const UP: u32>(plane: *const u8) -> [D::Codes; 2] {
    // SAFETY: the contract of this function.
    unsafe {
        [
            pair_of_bits::<D, T, UP>(D::load(plane)),
            pair_of_bits::<D, T, UP>(D::load(plane.add(VECTOR))),
        ]
    }
}

/// Bits `2T` and the next of every byte, at bit `UP`.
///
/// # Safety
/// The CPU supports `D`.
#[inline(always)]
unsafe fn pair_of_bits<D: Int8Dot, const T: usize, const UP: u32>(codes: D::Codes) -> D::Codes {
    // SAFETY: the contract of this function.
    unsafe {
        let placed = match (T, UP) {
            (0, 0) | (2, 4) => codes,
            (1, 0) | (3, 4) => D::down::<2>(codes),
            (2, 0) => D::down::<4>(codes),
            (3, 0) => D::down::<6>(codes),
            (0, _) => D::up::<4>(codes),
            _ => D::up::<2>(codes),
        };
        D::mask(placed, 3 << UP)
    }
}

/// Words `T` and `T + 4` of a 1-bit plane, moved up by `UP` bits.
///
/// # Safety
/// As for [`CodeFormat::words`], for the vector at `plane`.
#[inline(always)]
unsafe fn plane1<D: Int8Dot, const T: usize, const UP: u32>(plane: *const u8) -> [D::Codes; 2] {
    // SAFETY: the contract of this function.
    unsafe {
        let all = D::load(plane);
        // Bit T, then bit T + 4, to bit UP, which is 2 or 4.
        let (low, high) = match (T, UP) {
            (0, 2) => (D::up::<2>(all), D::down::<2>(all)),
            (1, 2) => (D::up::<1>(all), D::down::<3>(all)),
            (2, 2) => (all, D::down::<4>(all)),
            (3, 2) => (D::down::<1>(all), D::down::<5>(all)),
            (0, _) => (D::up::<4>(all), all),
            (1, _) => (D::up::<3>(all), D::down::<1>(all)),
            (2, _) => (D::up::<2>(all), D::down::<2>(all)),
            _ => (D::up::<1>(all), D::down::<3>(all)),
        };
        [D::mask(low, 1 << UP), D::mask(high, 1 << UP)]
    }
}

/// # Safety
/// The CPU supports `D`.
#[inline(always)]
unsafe fn merge<D: Int8Dot>(a: [D::Codes; 2], b: [D::Codes; 2]) -> [D::Codes; 2] {
    // SAFETY: the contract of this function.
    unsafe { [D::or(a[0], b[0]), D::or(a[1], b[1])] }
}

/// Unsigned integers.
pub(crate) struct Integers<const BITS: usize>;

impl<const BITS: usize> CodeFormat for Integers<BITS> {
    const BITS: usize = BITS;
    const WIDE: bool = BITS == 8;

    #[inline(always)]
    unsafe fn words<D: Int8Dot, const T: usize>(chunk: *const u8) -> [D::Codes; 2] {
        // SAFETY: the contract of `CodeFormat::words`; the planes are inside the `BITS` vectors.
        unsafe {
            match BITS {
                2 => plane2::<D, T, 0>(chunk),
                3 => merge::<D>(
                    plane2::<D, T, 0>(chunk),
                    plane1::<D, T, 2>(chunk.add(2 * VECTOR)),
                ),
                4 => plane4::<D, T>(chunk),
                5 => merge::<D>(
                    plane4::<D, T>(chunk),
                    plane1::<D, T, 4>(chunk.add(4 * VECTOR)),
                ),
                6 => merge::<D>(
                    plane4::<D, T>(chunk),
                    plane2::<D, T, 4>(chunk.add(4 * VECTOR)),
                ),
                _ => [
                    D::load(chunk.add(T * VECTOR)),
                    D::load(chunk.add((T + 4) * VECTOR)),
                ],
            }
        }
    }
}

/// Twice the value of every E2M1 code, plus 12.
const E2M1_DOUBLED: [u8; 16] = [12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0];

/// E2M1 floats; `TWO_GROUPS` when a group is half a chunk (nvfp4).
pub(crate) struct Fp4<const TWO_GROUPS: bool>;

impl<const TWO_GROUPS: bool> CodeFormat for Fp4<TWO_GROUPS> {
    const BITS: usize = 4;
    const TWO_GROUPS: bool = TWO_GROUPS;

    #[inline(always)]
    unsafe fn words<D: Int8Dot, const T: usize>(chunk: *const u8) -> [D::Codes; 2] {
        // SAFETY: the contract of `CodeFormat::words`; a chunk has four vectors.
        unsafe {
            let [first, second] = plane4::<D, T>(chunk);
            [
                D::look_up(first, &E2M1_DOUBLED),
                D::look_up(second, &E2M1_DOUBLED),
            ]
        }
    }
}

/// Evaluates an expression with `$codes` naming the code format of a weight that can be repacked.
macro_rules! with_codes {
    ($spec:expr, $codes:ident => $body:expr) => {{
        use $crate::{
            QuantMode,
            cpu::repack::codes::{Fp4, Integers},
        };
        let spec: $crate::QuantSpec = $spec;
        match (spec.mode, spec.bits) {
            (QuantMode::Mxfp4, _) => {
                type $codes = Fp4<false>;
                $body
            }
            (QuantMode::Nvfp4, _) => {
                type $codes = Fp4<true>;
                $body
            }
            (_, 2) => {
                type $codes = Integers<2>;
                $body
            }
            (_, 3) => {
                type $codes = Integers<3>;
                $body
            }
            (_, 4) => {
                type $codes = Integers<4>;
                $body
            }
            (_, 5) => {
                type $codes = Integers<5>;
                $body
            }
            (_, 6) => {
                type $codes = Integers<6>;
                $body
            }
            _ => {
                type $codes = Integers<8>;
                $body
            }
        }
    }};
}
pub(super) use with_codes;

/// Dequantizes one output of a record.
pub(super) fn widen<C: CodeFormat>(
    record: &[u8],
    code_bytes: usize,
    format: ScaleFormat,
    lane: usize,
    out: &mut [f32],
) {
    let (codes, record_scales) = record.split_at(code_bytes);
    let group = if C::TWO_GROUPS { CHUNK / 2 } else { out.len() };
    let chunks = codes.chunks_exact(C::BITS * VECTOR);
    assert!(lane < TILE && chunks.len() * CHUNK == out.len());
    for (chunk, out) in chunks.zip(out.chunks_exact_mut(CHUNK)) {
        // SAFETY: every CPU supports `Scalar`. A chunk has `BITS` vectors of sixteen lanes of four bytes, and `lane`
        // is below sixteen by the assertion.
        let words = unsafe {
            let chunk = chunk.as_ptr().add(4 * lane);
            [
                C::words::<Scalar, 0>(chunk),
                C::words::<Scalar, 1>(chunk),
                C::words::<Scalar, 2>(chunk),
                C::words::<Scalar, 3>(chunk),
            ]
        };
        for (t, pair) in words.into_iter().enumerate() {
            for (half, word) in pair.into_iter().enumerate() {
                let place = 4 * (t + 4 * half);
                for (out, code) in out[place..place + 4].iter_mut().zip(word.to_le_bytes()) {
                    *out = f32::from(code);
                }
            }
        }
    }
    for (index, out) in out.chunks_exact_mut(group).enumerate() {
        // SAFETY: every CPU supports `Scalar`. `from` is a slice of `format.bytes()` bytes, and `lane` is below sixteen.
        let (scale, bias) = unsafe {
            let from = record_scales[index * format.bytes()..][..format.bytes()].as_ptr();
            scales::<Scalar>(from, format, lane)
        };
        for out in out {
            *out = match format {
                // A fused multiply-add, as in MLX.
                ScaleFormat::Affine(_) => out.mul_add(scale, bias),
                ScaleFormat::E8m0 | ScaleFormat::E4m3(_) => (*out - 12.0) * scale,
            };
        }
    }
}

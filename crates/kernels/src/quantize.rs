//! Quantization to the formats of MLX, bitwise equal to its `quantize`.

use half::{bf16, f16};

use crate::quant::{E2M1, FloatType, QuantMode, QuantSpec, e4m3_to_f32, e8m0_to_f32, unpack};

/// The largest E2M1 value.
const E2M1_MAX: f32 = 6.0;
/// The largest E4M3 value.
const E4M3_MAX: f32 = 448.0;
/// The smallest magnitude of an affine scale.
const SMALLEST_SCALE: f32 = 1e-7;

/// Quantizes one row and appends its packed values, its scales and, in affine mode, its biases.
///
/// `float` is the type the values came from: MLX writes affine scales and biases in it and divides by the largest
/// small float in it. Affine values are quantized with the scale as computed, before it is rounded.
///
/// # Panics
/// If the row is not a whole number of groups, or the combination is not one of [`QuantSpec::validate`].
pub fn quantize_row(
    row: &[f32],
    spec: QuantSpec,
    float: FloatType,
    packed: &mut Vec<u8>,
    scales: &mut Vec<u8>,
    biases: &mut Vec<u8>,
) {
    assert!(
        row.len().is_multiple_of(spec.group_size) && spec.validate().is_ok(),
        "{} values cannot be quantized as {spec}",
        row.len()
    );
    let mut codes = [0; 128];
    for group in row.chunks_exact(spec.group_size) {
        let codes = &mut codes[..group.len()];
        match spec.mode {
            QuantMode::Affine => {
                let (scale, bias) = affine(group, spec.bits, codes);
                push(scales, scale, float);
                push(biases, bias, float);
            }
            QuantMode::Mxfp4 | QuantMode::Nvfp4 | QuantMode::Mxfp8 => {
                scales.push(small_float(group, spec.mode, float, codes));
            }
        }
        pack(codes, spec.bits, packed);
    }
}

/// The values of one row that [`quantize_row`] wrote.
///
/// # Panics
/// If the parts do not have the lengths that `out` and `spec` give them.
pub fn dequantize_row(
    packed: &[u8],
    scales: &[u8],
    biases: &[u8],
    spec: QuantSpec,
    float: FloatType,
    out: &mut [f32],
) {
    for (group, out) in out.chunks_exact_mut(spec.group_size).enumerate() {
        let first = group * spec.group_size;
        for (index, out) in out.iter_mut().enumerate() {
            let code = unpack(packed, spec.bits, first + index);
            *out = match spec.mode {
                QuantMode::Affine => {
                    read(scales, group, float) * code as f32 + read(biases, group, float)
                }
                QuantMode::Mxfp4 => E2M1[code as usize] * e8m0_to_f32(scales[group]),
                QuantMode::Nvfp4 => E2M1[code as usize] * e4m3_to_f32(scales[group]),
                QuantMode::Mxfp8 => e4m3_to_f32(code as u8) * e8m0_to_f32(scales[group]),
            };
        }
    }
}

fn push(out: &mut Vec<u8>, value: f32, float: FloatType) {
    match float {
        FloatType::F32 => out.extend_from_slice(&value.to_le_bytes()),
        FloatType::F16 => out.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
        FloatType::BF16 => out.extend_from_slice(&bf16::from_f32(value).to_le_bytes()),
    }
}

fn read(bytes: &[u8], index: usize, float: FloatType) -> f32 {
    let at = |offset: usize| bytes[index * float.size_bytes() + offset];
    match float {
        FloatType::F32 => f32::from_le_bytes([at(0), at(1), at(2), at(3)]),
        FloatType::F16 => f16::from_le_bytes([at(0), at(1)]).to_f32(),
        FloatType::BF16 => bf16::from_le_bytes([at(0), at(1)]).to_f32(),
    }
}

/// Quantizes a group to unsigned integers; returns scale and bias.
///
/// The end of the range farther from zero becomes the bias and is met exactly. The scale is then adjusted so that
/// zero, too, is a whole number of steps away from it.
fn affine(group: &[f32], bits: u32, codes: &mut [u8]) -> (f32, f32) {
    let steps = ((1_u32 << bits) - 1) as f32;
    let (low, high) = group
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
    let width = ((high - low) / steps).max(SMALLEST_SCALE);
    let (edge, mut scale) = if low.abs() > high.abs() {
        (low, width)
    } else {
        (high, -width)
    };
    let steps_to_zero = (edge / scale).round_ties_even();
    let mut bias = 0.0;
    if steps_to_zero != 0.0 {
        scale = edge / steps_to_zero;
        bias = edge;
    }
    for (code, value) in codes.iter_mut().zip(group) {
        let step = ((value - bias) / scale).round_ties_even();
        *code = step.max(0.0).min(steps) as u8;
    }
    (scale, bias)
}

/// Quantizes a group to small floats; returns the code of the scale.
///
/// The quotient that becomes the scale is rounded to `float`, the type MLX divides in.
fn small_float(group: &[f32], mode: QuantMode, float: FloatType, codes: &mut [u8]) -> u8 {
    let largest = group
        .iter()
        .fold(0.0_f32, |largest, v| largest.max(v.abs()));
    let (scale_code, scale) = if mode == QuantMode::Nvfp4 {
        let code = to_e4m3(round_to(largest / E2M1_MAX, float));
        (code, e4m3_to_f32(code))
    } else {
        let limit = if mode == QuantMode::Mxfp4 {
            E2M1_MAX
        } else {
            E4M3_MAX
        };
        let code = to_e8m0_above(round_to(largest / limit, float));
        (code, e8m0_to_f32(code))
    };
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    for (code, value) in codes.iter_mut().zip(group) {
        *code = if mode == QuantMode::Mxfp8 {
            to_e4m3(value * inverse)
        } else {
            to_e2m1(value * inverse)
        };
    }
    scale_code
}

fn round_to(value: f32, float: FloatType) -> f32 {
    match float {
        FloatType::F32 => value,
        FloatType::F16 => f16::from_f32(value).to_f32(),
        FloatType::BF16 => bf16::from_f32(value).to_f32(),
    }
}

/// The smallest power of two not below `value`, as its exponent plus 127. A group of zeros has the scale 1.
fn to_e8m0_above(value: f32) -> u8 {
    if value == 0.0 {
        return 127;
    }
    if !value.is_finite() {
        return 0xff;
    }
    let nearest = value.log2().round().clamp(-127.0, 127.0) as i32;
    let code = (nearest + 127) as u8;
    if code < 0xfe && e8m0_to_f32(code) < value {
        code + 1
    } else {
        code
    }
}

/// The nearest E2M1 code, ties to the smaller magnitude; zero has no sign.
///
/// That is how MLX rounds on a CPU. Its Metal kernels take the even code of a tie and keep the sign of zero, so that
/// exact ties can differ by one code from a checkpoint quantized on a Mac.
fn to_e2m1(value: f32) -> u8 {
    /// Halfway between neighbours.
    const BORDERS: [f32; 7] = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0];
    let magnitude = value.abs();
    let code = BORDERS.iter().filter(|border| magnitude > **border).count() as u8;
    if code == 0 {
        0
    } else {
        code | u8::from(value.is_sign_negative()) << 3
    }
}

/// The nearest E4M3 code, ties to even; values beyond the largest one saturate.
fn to_e4m3(value: f32) -> u8 {
    /// Exponent of the smallest normal number.
    const SMALLEST_EXPONENT: i32 = -6;
    let sign = u8::from(value.is_sign_negative()) << 7;
    let magnitude = value.abs();
    if magnitude.is_nan() || magnitude >= 480.0 {
        return sign | 0x7e;
    }
    let exponent = ((magnitude.to_bits() >> 23) as i32 - 127).max(SMALLEST_EXPONENT);
    // Eighths of the binade (or of the smallest one, for subnormals); 16 carries into the next exponent by itself.
    let eighths = (magnitude * 2_f32.powi(3 - exponent)).round_ties_even() as u8;
    let code = (((exponent - SMALLEST_EXPONENT) as u8) << 3) + eighths;
    sign | code.min(0x7e)
}

/// Appends `values`, the low `bits` of each, as one little-endian bitstream whose first value is in the lowest bits.
/// The bits of all values must fill whole bytes.
pub fn pack(values: &[u8], bits: u32, out: &mut Vec<u8>) {
    let mut pending: u32 = 0;
    let mut filled = 0;
    for &value in values {
        pending |= u32::from(value) << filled;
        filled += bits;
        while filled >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            filled -= 8;
        }
    }
    debug_assert_eq!(filled, 0, "the values end within a byte");
}

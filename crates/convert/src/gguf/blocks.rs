//! Decoding of the quantized blocks of GGUF, as defined in ggml's `ggml-common.h` and `ggml-quants.c`.
//!
//! Every type can be dequantized to floats. Types that consist of affine groups of 32 values (`w = scale · q + bias`,
//! as in MLX's affine quantization) can also be decoded to these groups.

use half::{bf16, f16};
use mlxm_kernels::quant::{E2M1, e8m0_to_f32};

use super::types::TensorType;

/// Values per affine group.
pub(super) const GROUP: usize = 32;

/// 32 values that share a scale and a bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AffineGroup {
    pub(super) values: [u8; GROUP],
    pub(super) scale: f32,
    pub(super) bias: f32,
}

impl TensorType {
    /// Bits per value if the type consists of affine groups.
    pub(super) fn affine_bits(self) -> Option<u32> {
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q4_K => Some(4),
            Self::Q5_0 | Self::Q5_1 | Self::Q5_K => Some(5),
            Self::Q8_0 => Some(8),
            _ => None,
        }
    }
}

fn half_at(block: &[u8], offset: usize) -> f32 {
    f16::from_le_bytes([block[offset], block[offset + 1]]).to_f32()
}

/// Calls `visit` with each affine group of one row. Other types have none.
pub(super) fn affine_groups(
    tensor_type: TensorType,
    row: &[u8],
    mut visit: impl FnMut(&AffineGroup),
) {
    for block in row.chunks_exact(tensor_type.block().1) {
        match tensor_type {
            TensorType::Q4_0 => {
                let scale = half_at(block, 0);
                visit(&AffineGroup {
                    values: nibbles(&block[2..]),
                    scale,
                    bias: -8.0 * scale,
                });
            }
            TensorType::Q4_1 => visit(&AffineGroup {
                values: nibbles(&block[4..]),
                scale: half_at(block, 0),
                bias: half_at(block, 2),
            }),
            TensorType::Q5_0 => {
                let scale = half_at(block, 0);
                visit(&AffineGroup {
                    values: with_fifth_bits(nibbles(&block[6..]), &block[2..6]),
                    scale,
                    bias: -16.0 * scale,
                });
            }
            TensorType::Q5_1 => visit(&AffineGroup {
                values: with_fifth_bits(nibbles(&block[8..]), &block[4..8]),
                scale: half_at(block, 0),
                bias: half_at(block, 2),
            }),
            TensorType::Q8_0 => {
                let scale = half_at(block, 0);
                visit(&AffineGroup {
                    // The signed byte plus 128.
                    values: std::array::from_fn(|index| block[2 + index] ^ 0x80),
                    scale,
                    bias: -128.0 * scale,
                });
            }
            TensorType::Q4_K => super_block(block, &block[16..], None, &mut visit),
            TensorType::Q5_K => super_block(block, &block[48..], Some(&block[16..48]), &mut visit),
            _ => {}
        }
    }
}

/// Unpacks 16 bytes to 32 values: first the low nibbles, then the high nibbles.
fn nibbles(bytes: &[u8]) -> [u8; GROUP] {
    std::array::from_fn(|index| {
        if index < 16 {
            bytes[index] & 15
        } else {
            bytes[index - 16] >> 4
        }
    })
}

fn with_fifth_bits(mut values: [u8; GROUP], bits: &[u8]) -> [u8; GROUP] {
    for (index, value) in values.iter_mut().enumerate() {
        *value |= (bits[index / 8] >> (index % 8) & 1) << 4;
    }
    values
}

/// The eight groups of a Q4_K or Q5_K super-block. Scales and minimums are 6-bit integers, each multiplied by an f16.
fn super_block(
    block: &[u8],
    nibbles: &[u8],
    fifth_bits: Option<&[u8]>,
    visit: &mut impl FnMut(&AffineGroup),
) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    let packed = &block[4..16];
    for group in 0..8 {
        let (scale_units, minimum_units) = if group < 4 {
            (packed[group] & 63, packed[group + 4] & 63)
        } else {
            (
                packed[group + 4] & 15 | (packed[group - 4] >> 6) << 4,
                packed[group + 4] >> 4 | (packed[group] >> 6) << 4,
            )
        };
        let bytes = &nibbles[group / 2 * 32..][..32];
        let values = std::array::from_fn(|index| {
            let nibble = bytes[index] >> (group % 2 * 4) & 15;
            nibble | fifth_bits.map_or(0, |bits| (bits[index] >> group & 1) << 4)
        });
        visit(&AffineGroup {
            values,
            scale: scale * f32::from(scale_units),
            bias: -minimum * f32::from(minimum_units),
        });
    }
}

/// Dequantizes one row of any supported type to `out`.
pub(super) fn dequantize_row(tensor_type: TensorType, row: &[u8], out: &mut [f32]) {
    let (block_values, block_bytes) = tensor_type.block();
    if tensor_type.affine_bits().is_some() {
        let mut groups = out.chunks_exact_mut(GROUP);
        affine_groups(tensor_type, row, |group| {
            for (out, value) in groups.next().into_iter().flatten().zip(group.values) {
                *out = group.scale * f32::from(value) + group.bias;
            }
        });
        return;
    }
    for (block, out) in row
        .chunks_exact(block_bytes)
        .zip(out.chunks_exact_mut(block_values))
    {
        match tensor_type {
            TensorType::F32 => {
                out[0] = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
            }
            TensorType::F16 => out[0] = half_at(block, 0),
            TensorType::BF16 => out[0] = bf16::from_le_bytes([block[0], block[1]]).to_f32(),
            TensorType::F64 => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(block);
                out[0] = f64::from_le_bytes(bytes) as f32;
            }
            TensorType::Q2_K => q2_k(block, out),
            TensorType::Q3_K => q3_k(block, out),
            TensorType::Q6_K => q6_k(block, out),
            TensorType::IQ4_NL => iq4(half_at(block, 0), &block[2..], out),
            TensorType::IQ4_XS => iq4_xs(block, out),
            TensorType::MXFP4 => {
                let scale = e8m0_to_f32(block[0]);
                for (out, code) in out.iter_mut().zip(nibbles(&block[1..])) {
                    *out = E2M1[usize::from(code)] * scale;
                }
            }
            _ => {}
        }
    }
}

/// 16 groups of 16: `d · scale · q − m · minimum` with 2-bit q and 4-bit scales and minimums.
fn q2_k(block: &[u8], out: &mut [f32]) {
    let (scale, minimum) = (half_at(block, 80), half_at(block, 82));
    for (index, out) in out.iter_mut().enumerate() {
        let (byte, shift) = interleaved(index, 2);
        let q = block[16 + byte] >> shift & 3;
        let units = block[index / 16];
        *out = scale * f32::from(units & 15) * f32::from(q) - minimum * f32::from(units >> 4);
    }
}

/// 16 groups of 16: `d · scale · q` with 3-bit q from −4 to 3 and 6-bit scales from −32 to 31.
fn q3_k(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 108);
    let packed = &block[96..108];
    for (index, out) in out.iter_mut().enumerate() {
        let group = index / 16;
        let low = packed[group % 8] >> (group / 8 * 4) & 15;
        let high = packed[8 + group % 4] >> (group / 4 * 2) & 3;
        let units = i16::from(low | high << 4) - 32;
        let (byte, shift) = interleaved(index, 2);
        let low = block[32 + byte] >> shift & 3;
        // One bit plane per 32 values: 4 is subtracted where the bit is 0.
        let high = block[index % 32] >> (index / 32) & 1;
        let q = i16::from(low) - 4 * i16::from(1 - high);
        *out = scale * f32::from(units) * f32::from(q);
    }
}

/// Byte index and shift of the field of a value in a 256-value block: in each half, four runs of 32 values share 32
/// bytes.
fn interleaved(index: usize, bits: usize) -> (usize, usize) {
    (index / 128 * 32 + index % 32, index % 128 / 32 * bits)
}

/// 16 groups of 16: `d · scale · q` with 6-bit q from −32 to 31 and 8-bit scales.
fn q6_k(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 208);
    for (index, out) in out.iter_mut().enumerate() {
        let low = block[index / 128 * 64 + index % 64] >> (index % 128 / 64 * 4) & 15;
        let (byte, shift) = interleaved(index, 2);
        let high = block[128 + byte] >> shift & 3;
        let q = i16::from(low | high << 4) - 32;
        let units = block[192 + index / 16].cast_signed();
        *out = scale * f32::from(units) * f32::from(q);
    }
}

/// The codebook of the IQ4 types (`kvalues_iq4nl` in ggml).
const IQ4_CODEBOOK: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

fn iq4(scale: f32, bytes: &[u8], out: &mut [f32]) {
    for (out, code) in out.iter_mut().zip(nibbles(bytes)) {
        *out = scale * f32::from(IQ4_CODEBOOK[usize::from(code)]);
    }
}

/// Eight groups of 32 with 6-bit scales from −32 to 31.
fn iq4_xs(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    let high = u16::from_le_bytes([block[2], block[3]]);
    for (group, out) in out.chunks_exact_mut(GROUP).enumerate() {
        let low = block[4 + group / 2] >> (group % 2 * 4) & 15;
        let units = i16::from(low) | ((high >> (2 * group) & 3) << 4).cast_signed();
        iq4(scale * f32::from(units - 32), &block[8 + 16 * group..], out);
    }
}

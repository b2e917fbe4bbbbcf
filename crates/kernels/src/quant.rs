//! The quantized formats of MLX checkpoints.
//!
//! A quantized matrix keeps each row as one little-endian bitstream, value `j` in the bits `j·bits ..` counted from
//! the least significant one. `group_size` consecutive values of a row share a scale (and, in affine mode, a bias):
//!
//! | mode   | value        | scale        | meaning                                        |
//! |--------|--------------|--------------|------------------------------------------------|
//! | affine | unsigned `q` | float, bias  | `scale · q + bias`; the scale may be negative   |
//! | mxfp4  | E2M1         | E8M0         | `scale · value`                                |
//! | nvfp4  | E2M1         | E4M3         | `scale · value · global_scale / (448 · 6)`      |
//! | mxfp8  | E4M3         | E8M0         | `scale · value`                                |

use std::{fmt, str::FromStr};

/// How a quantized weight represents its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuantMode {
    /// Unsigned integers with a float scale and bias per group.
    Affine,
    /// OCP microscaling: 4-bit floats with a power-of-two scale per 32.
    Mxfp4,
    /// 4-bit floats with an 8-bit float scale per 16, and optionally one scale for the whole weight.
    Nvfp4,
    /// OCP microscaling: 8-bit floats with a power-of-two scale per 32.
    Mxfp8,
}

impl fmt::Display for QuantMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Affine => "affine",
            Self::Mxfp4 => "mxfp4",
            Self::Nvfp4 => "nvfp4",
            Self::Mxfp8 => "mxfp8",
        })
    }
}

impl FromStr for QuantMode {
    type Err = QuantError;

    fn from_str(name: &str) -> Result<Self, QuantError> {
        match name {
            "affine" => Ok(Self::Affine),
            "mxfp4" => Ok(Self::Mxfp4),
            "nvfp4" => Ok(Self::Nvfp4),
            "mxfp8" => Ok(Self::Mxfp8),
            _ => Err(QuantError::UnknownMode(name.to_owned())),
        }
    }
}

/// A quantized format: mode, values per group, bits per value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuantSpec {
    /// How values and scales are interpreted.
    pub mode: QuantMode,
    /// Consecutive values of a row that share a scale.
    pub group_size: usize,
    /// Bits per value.
    pub bits: u32,
}

impl QuantSpec {
    /// MLX's default group size and bits for a mode.
    pub fn default_for(mode: QuantMode) -> Self {
        let (group_size, bits) = match mode {
            QuantMode::Affine => (64, 4),
            QuantMode::Mxfp4 => (32, 4),
            QuantMode::Nvfp4 => (16, 4),
            QuantMode::Mxfp8 => (32, 8),
        };
        Self {
            mode,
            group_size,
            bits,
        }
    }

    /// Checks that this is a combination that MLX writes.
    pub fn validate(&self) -> Result<(), QuantError> {
        let known = match self.mode {
            QuantMode::Affine => {
                matches!(self.bits, 2..=6 | 8) && matches!(self.group_size, 32 | 64 | 128)
            }
            mode => *self == Self::default_for(mode),
        };
        if known {
            Ok(())
        } else {
            Err(QuantError::Unsupported(*self))
        }
    }

    /// Bytes of the packed values of `cols` columns, which must be a multiple of the group size.
    pub fn row_bytes(&self, cols: usize) -> usize {
        cols / 8 * self.bits as usize
    }

    /// Whether each group stores a bias in addition to its scale.
    pub fn has_biases(&self) -> bool {
        self.mode == QuantMode::Affine
    }
}

impl fmt::Display for QuantSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mode,
            group_size,
            bits,
        } = self;
        write!(f, "{mode} {bits}-bit, group {group_size}")
    }
}

/// Why a quantized format is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantError {
    /// MLX has no mode of this name.
    #[error("unknown quantization mode {0:?}: expected affine, mxfp4, nvfp4 or mxfp8")]
    UnknownMode(String),
    /// Mode, bits and group size are not a combination MLX writes.
    #[error(
        "unsupported quantization ({0}): affine takes 2, 3, 4, 5, 6 or 8 bits in groups of 32, 64 or 128; \
         mxfp4 is 4 bits in groups of 32, nvfp4 4 bits in groups of 16, mxfp8 8 bits in groups of 32"
    )]
    Unsupported(QuantSpec),
}

/// The float types of dense weights and affine scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FloatType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16: the upper half of single precision.
    BF16,
}

impl FloatType {
    /// Bytes per element.
    pub fn size_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

impl fmt::Display for FloatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
        })
    }
}

/// The type of the scales of packed weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScaleType {
    /// IEEE single precision (affine).
    F32,
    /// IEEE half precision (affine).
    F16,
    /// bfloat16 (affine).
    BF16,
    /// 8-bit floats: E8M0 for mxfp4 and mxfp8, E4M3 for nvfp4.
    U8,
}

impl ScaleType {
    /// The float type of affine scales; `None` for bytes.
    pub fn float(self) -> Option<FloatType> {
        match self {
            Self::F32 => Some(FloatType::F32),
            Self::F16 => Some(FloatType::F16),
            Self::BF16 => Some(FloatType::BF16),
            Self::U8 => None,
        }
    }
}

impl From<FloatType> for ScaleType {
    fn from(float: FloatType) -> Self {
        match float {
            FloatType::F32 => Self::F32,
            FloatType::F16 => Self::F16,
            FloatType::BF16 => Self::BF16,
        }
    }
}

impl fmt::Display for ScaleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.float() {
            Some(float) => float.fmt(f),
            None => f.write_str("U8"),
        }
    }
}

/// Value `index` of a row's bitstream.
pub fn unpack(row: &[u8], bits: u32, index: usize) -> u32 {
    let bit = index * bits as usize;
    let low = u32::from(row[bit / 8]);
    let high = row.get(bit / 8 + 1).map_or(0, |byte| u32::from(*byte));
    ((low | high << 8) >> (bit % 8)) & ((1 << bits) - 1)
}

/// The values of the 4-bit float E2M1, indexed by its code.
pub const E2M1: [f32; 16] = [
    0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0,
];

/// The largest E2M1 value times the largest E4M3 value: what MLX divides an nvfp4 global scale by.
pub const NVFP4_GLOBAL_DIVISOR: f32 = 448.0 * 6.0;

/// The value of an 8-bit float with 4 exponent and 3 fraction bits (no infinities; `0x7f` and `0xff` are NaN).
#[inline]
pub fn e4m3_to_f32(code: u8) -> f32 {
    let magnitude = code & 0x7f;
    if magnitude == 0x7f {
        return f32::NAN;
    }
    // Shifts the fields to their f32 positions; 2^120 corrects the exponent bias, for subnormals as well.
    let value = f32::from_bits(u32::from(magnitude) << 20) * f32::from_bits((120 + 127) << 23);
    f32::from_bits(value.to_bits() | u32::from(code & 0x80) << 24)
}

/// The value of a power-of-two scale: `2^(code - 127)`, and infinity for 255 as in MLX.
#[inline]
pub fn e8m0_to_f32(code: u8) -> f32 {
    if code == 0 {
        f32::from_bits(0x0040_0000)
    } else {
        f32::from_bits(u32::from(code) << 23)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quant_mode_name_round_trips() {
        for mode in [
            QuantMode::Affine,
            QuantMode::Mxfp4,
            QuantMode::Nvfp4,
            QuantMode::Mxfp8,
        ] {
            assert_eq!(mode.to_string().parse::<QuantMode>(), Ok(mode));
            assert_eq!(QuantSpec::default_for(mode).validate(), Ok(()));
        }
        assert!("q4_0".parse::<QuantMode>().is_err());
    }

    #[test]
    fn validate_accepts_only_combinations_that_mlx_writes() {
        let affine = |bits, group_size| QuantSpec {
            mode: QuantMode::Affine,
            group_size,
            bits,
        };
        for bits in [2, 3, 4, 5, 6, 8] {
            for group in [32, 64, 128] {
                affine(bits, group).validate().unwrap();
            }
        }
        for (bits, group) in [(1, 64), (7, 64), (16, 64), (4, 16), (4, 256)] {
            assert!(affine(bits, group).validate().is_err());
        }
        let mxfp4_in_64 = QuantSpec {
            mode: QuantMode::Mxfp4,
            group_size: 64,
            bits: 4,
        };
        assert!(mxfp4_in_64.validate().is_err());
    }

    #[test]
    fn e4m3_and_e8m0_decode_known_codes() {
        assert_eq!(e8m0_to_f32(0), 2_f32.powi(-127));
        assert_eq!(e8m0_to_f32(127), 1.0);
        assert_eq!(e8m0_to_f32(254), 2_f32.powi(127));
        assert_eq!(e4m3_to_f32(0x38), 1.0);
        assert_eq!(e4m3_to_f32(0x7e), 448.0);
        assert_eq!(e4m3_to_f32(0x01), 2_f32.powi(-9));
        assert_eq!(e4m3_to_f32(0x81), -(2_f32.powi(-9)));
        assert!(e4m3_to_f32(0xff).is_nan());
    }

    #[test]
    fn unpack_reads_values_across_byte_borders_from_the_low_bit() {
        // 5-bit values 1, 2, 3: 00001 | 00010 << 5 | 00011 << 10.
        let stream = (1_u32 | 2 << 5 | 3 << 10).to_le_bytes();
        let values: Vec<u32> = (0..3).map(|index| unpack(&stream, 5, index)).collect();
        assert_eq!(values, [1, 2, 3]);
    }
}

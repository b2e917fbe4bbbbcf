//! Quantized weights repacked for integer dot products with int8 activations.
//!
//! # Layout
//! Sixteen outputs form a *tile*; the last tile is padded with outputs of scale 0. A tile holds one *record* per
//! group of columns, so that a kernel reads memory sequentially:
//!
//! 1. the codes, in *chunks* of 32 columns (a group of 16 columns is half a chunk, see below);
//! 2. the sixteen scales of the group, then, in affine mode, its sixteen biases, in the type of the checkpoint.
//!
//! A *word* of a chunk is four consecutive columns of one output, a byte each once unpacked; a chunk has eight words
//! for each output. A 64-byte *vector* holds the same word of the sixteen outputs. Codes of fewer than eight bits are
//! cut into planes of 4, 2 and 1 bits, the low bits first, and a vector of a plane holds several words of those bits:
//!
//! | plane | vectors per chunk | vector `v`, bits `b · width ..` of a byte |
//! |-------|-------------------|-------------------------------------------|
//! | 8     | 8                 | word `v`                                  |
//! | 4     | 4                 | word `v + 4b`                             |
//! | 2     | 2                 | word `4v + b`                             |
//! | 1     | 1                 | word `b`                                  |
//!
//! So a 3-bit chunk is two vectors of 2-bit codes and one of the third bits. With 16 columns to a group (nvfp4) a chunk
//! serves two groups, words 0 to 3 and words 4 to 7, and is followed by the scales of both.
//!
//! # Arithmetic
//! Activations are quantized per group: `x ≈ step · q` with `q` in −127 ..= 127. For every output and group `g`
//!
//! `sum = sum + (scale_g · step_g) · float(Σ code · q) + bias_g · (step_g · Σ q)`,
//!
//! with the integer sums exact, groups ascending, both additions fused multiply-adds. This order is the same for every
//! number of rows and every instruction set, so a row's result depends only on the row.
//!
//! The 4-bit floats of mxfp4 and nvfp4 are integers once doubled; they are looked up with 12 added, which makes them
//! unsigned, and the bias subtracts the 12 again.

mod arena;
mod codes;
mod gemm;
mod int8_dot;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod quantized_rows;
#[cfg(target_arch = "x86_64")]
mod x86;

use codes::with_codes;
pub(crate) use gemm::{Operands, gemm};
pub(crate) use int8_dot::Int8DotLevel;
pub(crate) use quantized_rows::QuantizedRows;

use crate::{
    FloatType, QuantMode, QuantSpec,
    weight::{Quantized, Scales},
};
pub(crate) use arena::Arena;
use arena::RepackedMemory;

/// Outputs of a tile.
pub(crate) const TILE: usize = 16;
/// Columns of a chunk.
const CHUNK: usize = 32;
/// Bytes of a vector.
const VECTOR: usize = 64;

/// How the scales of a record are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ScaleFormat {
    /// Scales and biases of this type.
    Affine(FloatType),
    /// Powers of two.
    E8m0,
    /// 8-bit floats, to be multiplied by the factor.
    E4m3(f32),
}

impl ScaleFormat {
    /// Bytes of the scales and biases of a group.
    fn bytes(self) -> usize {
        match self {
            Self::Affine(float) => 2 * TILE * float.size_bytes(),
            Self::E8m0 | Self::E4m3(_) => TILE,
        }
    }
}

/// A repacked quantized weight.
#[derive(Debug)]
pub(crate) struct RepackedWeight {
    spec: QuantSpec,
    rows: usize,
    cols: usize,
    scales: ScaleFormat,
    memory: RepackedMemory,
}

impl RepackedWeight {
    /// The scale format of a weight that can be repacked; `None` for mxfp8, whose values are not small integers.
    fn scale_format(quantized: &Quantized, cols: usize) -> Option<ScaleFormat> {
        if !cols.is_multiple_of(CHUNK) {
            return None;
        }
        match (&quantized.scales, quantized.spec.mode) {
            (Scales::Affine { scales, .. }, _) => Some(ScaleFormat::Affine(scales.float_type())),
            (Scales::E8m0(_), QuantMode::Mxfp4) => Some(ScaleFormat::E8m0),
            (Scales::E4m3 { factor, .. }, QuantMode::Nvfp4) => Some(ScaleFormat::E4m3(*factor)),
            _ => None,
        }
    }

    /// The weight's format.
    pub fn spec(&self) -> QuantSpec {
        self.spec
    }

    /// Bytes of the weight.
    pub fn size_bytes(&self) -> usize {
        self.memory.len()
    }

    /// Columns that share a scale.
    pub fn group_size(&self) -> usize {
        self.spec.group_size
    }

    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        self.rows.div_ceil(TILE)
    }

    /// Groups of a record: two when a chunk serves two, else one.
    fn groups_per_record(&self) -> usize {
        (CHUNK / self.spec.group_size).max(1)
    }

    fn records(&self) -> usize {
        self.cols / self.spec.group_size / self.groups_per_record()
    }

    fn chunks_per_record(&self) -> usize {
        (self.spec.group_size / CHUNK).max(1)
    }

    /// Bytes of the codes of a record.
    fn code_bytes(&self) -> usize {
        self.chunks_per_record() * self.spec.bits as usize * VECTOR
    }

    fn record_bytes(&self) -> usize {
        self.code_bytes() + self.groups_per_record() * self.scales.bytes()
    }

    /// Bytes of a tile.
    pub fn tile_bytes(&self) -> usize {
        self.records() * self.record_bytes()
    }

    /// Tile `index`.
    fn tile(&self, index: usize) -> &[u8] {
        let size = self.tile_bytes();
        &self.memory.as_slice()[index * size..][..size]
    }

    /// Writes one row of the weight as floats, `scale · code + bias` fused as for the format of the checkpoint.
    pub fn dequantize_row(&self, row: usize, out: &mut [f32]) {
        let lane = row % TILE;
        let records = self.tile(row / TILE).chunks_exact(self.record_bytes());
        let columns = CHUNK * self.chunks_per_record();
        for (record, out) in records.zip(out.chunks_exact_mut(columns)) {
            with_codes!(self.spec, C => {
                codes::widen::<C>(record, self.code_bytes(), self.scales, lane, out);
            });
        }
    }
}

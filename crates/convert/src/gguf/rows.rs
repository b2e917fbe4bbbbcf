//! Row access to GGUF tensors, as floats or repacked for MLX.

use mlxm_kernels::quant::FloatType;
use mlxm_kernels::quantize::pack;

use super::blocks::{AffineGroup, GROUP, affine_groups, dequantize_row};
use super::reader::Tensor;
use super::types::TensorType;
use crate::plan::{FloatRows, RowProducer, push_float, round_to};

/// The order in which the rows of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowOrder {
    Unchanged,
    /// The rows of each head are permuted for interleaved RoPE: 0, d/2, 1, d/2 + 1, … for d rows per head.
    Permuted {
        heads: usize,
    },
}

impl RowOrder {
    /// The index in the file of row `row` of `rows`.
    fn stored_index(self, row: usize, rows: usize) -> usize {
        match self {
            Self::Unchanged => row,
            Self::Permuted { heads } => {
                let head_rows = rows / heads;
                let (head, within) = (row / head_rows, row % head_rows);
                let half = head_rows / 2;
                head * head_rows + within % half * 2 + within / half
            }
        }
    }
}

/// A tensor as rows.
#[derive(Debug, Clone)]
pub(super) struct TensorRows<'a> {
    kind: TensorType,
    data: &'a [u8],
    row_bytes: usize,
    order: RowOrder,
    /// Added to every value.
    offset: f32,
}

impl<'a> TensorRows<'a> {
    /// `columns` is a multiple of the block size of the tensor's type.
    pub(super) fn new(tensor: &Tensor<'a>, columns: usize, order: RowOrder, offset: f32) -> Self {
        let (block_values, block_bytes) = tensor.kind.block();
        Self {
            kind: tensor.kind,
            data: tensor.data,
            row_bytes: columns / block_values * block_bytes,
            order,
            offset,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.data.len() / self.row_bytes
    }

    fn bytes(&self, row: usize) -> &'a [u8] {
        let stored = self.order.stored_index(row, self.rows());
        &self.data[stored * self.row_bytes..][..self.row_bytes]
    }

    /// Calls `visit` with every affine group of the tensor.
    pub(super) fn for_each_group(&self, mut visit: impl FnMut(&AffineGroup)) {
        for row in self.data.chunks_exact(self.row_bytes) {
            affine_groups(self.kind, row, &mut visit);
        }
    }
}

impl FloatRows for TensorRows<'_> {
    fn read(&self, row: usize, out: &mut [f32]) {
        dequantize_row(self.kind, self.bytes(row), out);
        if self.offset != 0.0 {
            for value in out {
                *value += self.offset;
            }
        }
    }
}

/// Repacks affine groups as packed values, scales and biases.
pub(super) struct AffineRepack<'a> {
    pub(super) rows: TensorRows<'a>,
    pub(super) bits: u32,
    pub(super) scales: FloatType,
}

impl RowProducer for AffineRepack<'_> {
    fn produce(&self, row: usize, parts: &mut [Vec<u8>]) {
        let [packed, scales, biases] = parts else {
            return;
        };
        affine_groups(self.rows.kind, self.rows.bytes(row), |group| {
            pack(&group.values, self.bits, packed);
            push_float(scales, group.scale, self.scales);
            push_float(biases, group.bias, self.scales);
        });
    }
}

/// How well a float type represents the scales and biases of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScaleFit {
    /// All exactly.
    Exact,
    /// Some are rounded to nearest.
    Rounded,
    /// Some overflow, or lose precision because they are subnormal.
    OutOfRange,
    /// Some are infinite or NaN in the source.
    NotFinite,
}

/// How well `float` represents the scales and biases of `rows`.
pub(super) fn scale_fit(rows: &TensorRows<'_>, float: FloatType) -> ScaleFit {
    let mut fit = ScaleFit::Exact;
    rows.for_each_group(|group| {
        for value in [group.scale, group.bias] {
            let rounded = round_to(value, float);
            if !value.is_finite() {
                fit = ScaleFit::NotFinite;
            } else if rounded != value && fit != ScaleFit::NotFinite {
                // The rounding error of a normal number: bf16 has 8 significant bits, f16 has 11.
                let limit = match float {
                    FloatType::BF16 => 2_f32.powi(-8),
                    FloatType::F16 | FloatType::F32 => 2_f32.powi(-11),
                };
                if (rounded - value).abs() <= limit * value.abs() {
                    if fit == ScaleFit::Exact {
                        fit = ScaleFit::Rounded;
                    }
                } else {
                    fit = ScaleFit::OutOfRange;
                }
            }
        }
    });
    fit
}

/// Repacks MXFP4 blocks for MLX: the same scales and codes, with the codes in consecutive order.
pub(super) struct Mxfp4Repack<'a>(pub(super) TensorRows<'a>);

impl RowProducer for Mxfp4Repack<'_> {
    fn produce(&self, row: usize, parts: &mut [Vec<u8>]) {
        let [packed, scales] = parts else { return };
        for block in self.0.bytes(row).chunks_exact(1 + GROUP / 2) {
            scales.push(block[0]);
            let values: [u8; GROUP] = std::array::from_fn(|index| {
                let byte = block[1 + index % 16];
                if index < 16 { byte & 15 } else { byte >> 4 }
            });
            pack(&values, 4, packed);
        }
    }
}

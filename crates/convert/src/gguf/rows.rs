//! Row access to the tensors of a parameter, as floats or repacked for MLX.

use std::borrow::Cow;

use mlxm_kernels::quant::FloatType;
use mlxm_kernels::quantize::pack;

use super::blocks::{AffineGroup, GROUP, affine_groups, dequantize_row};
use super::order::Order;
use super::types::TensorType;
use crate::plan::{FloatRows, RowProducer, push_float, round_to};

/// The rows of a tensor, or some of them.
#[derive(Debug, Clone)]
pub(super) struct TensorRows<'a> {
    kind: TensorType,
    data: &'a [u8],
    row_bytes: usize,
    row_order: Order,
    column_order: Order,
    /// Added to every value.
    offset: f32,
}

impl<'a> TensorRows<'a> {
    /// Rows of `columns` values, a multiple of the block size of `kind`.
    pub(super) fn new(kind: TensorType, data: &'a [u8], columns: usize) -> Self {
        let (block_values, block_bytes) = kind.block();
        Self {
            kind,
            data,
            row_bytes: columns / block_values * block_bytes,
            row_order: Order::UNCHANGED,
            column_order: Order::UNCHANGED,
            offset: 0.0,
        }
    }

    /// The number of rows is a multiple of the span of the order.
    pub(super) fn with_row_order(self, row_order: Order) -> Self {
        Self { row_order, ..self }
    }

    /// The number of columns is a multiple of the span of the order.
    pub(super) fn with_column_order(self, column_order: Order) -> Self {
        Self {
            column_order,
            ..self
        }
    }

    pub(super) fn with_offset(self, offset: f32) -> Self {
        Self { offset, ..self }
    }

    /// `count` rows of the file, from row `start`.
    pub(super) fn section(&self, start: usize, count: usize) -> Self {
        Self {
            data: &self.data[start * self.row_bytes..][..count * self.row_bytes],
            ..self.clone()
        }
    }

    /// The values of one row of a dense type, as rows of one value.
    pub(super) fn transposed(self) -> Self {
        Self {
            row_bytes: self.kind.block().1,
            ..self
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.data.len() / self.row_bytes
    }

    fn stored(&self, row: usize) -> &'a [u8] {
        &self.data[self.row_order.stored_index(row) * self.row_bytes..][..self.row_bytes]
    }

    /// The order of blocks in a row; `None` if blocks would be split.
    fn block_order(&self) -> Option<Order> {
        self.column_order.in_blocks_of(self.kind.block().0)
    }

    /// The blocks of a row.
    fn blocks(&self, row: usize) -> Cow<'a, [u8]> {
        let stored = self.stored(row);
        match self.block_order() {
            Some(order) if order != Order::UNCHANGED => {
                Cow::Owned(order.restore(stored, self.kind.block().1))
            }
            _ => Cow::Borrowed(stored),
        }
    }

    fn read(&self, row: usize, out: &mut [f32]) {
        dequantize_row(self.kind, self.stored(row), out);
        if self.column_order != Order::UNCHANGED {
            let restored = self.column_order.restore(out, 1);
            out.copy_from_slice(&restored);
        }
        if self.offset != 0.0 {
            for value in out {
                *value += self.offset;
            }
        }
    }
}

/// The rows of a parameter: those of its parts by group. Each group has the same number of rows of a part. With one group, the
/// parts are one after the other.
#[derive(Debug, Clone)]
pub(super) struct ParameterRows<'a> {
    parts: Vec<TensorRows<'a>>,
    groups: usize,
}

impl<'a> ParameterRows<'a> {
    /// `groups` is positive and divides the numbers of rows.
    pub(super) fn new(parts: Vec<TensorRows<'a>>, groups: usize) -> Self {
        Self { parts, groups }
    }

    pub(super) fn rows(&self) -> usize {
        self.parts.iter().map(TensorRows::rows).sum()
    }

    /// The types of the parts.
    pub(super) fn kinds(&self) -> impl Iterator<Item = TensorType> {
        self.parts.iter().map(|part| part.kind)
    }

    /// The type of all parts.
    pub(super) fn kind(&self) -> Option<TensorType> {
        let mut kinds = self.kinds();
        let first = kinds.next()?;
        kinds.all(|kind| kind == first).then_some(first)
    }

    /// Whether rows consist of whole blocks of the file.
    pub(super) fn keeps_blocks(&self) -> bool {
        self.parts.iter().all(|part| part.block_order().is_some())
    }

    /// The part with row `row`, and the number of the row in it.
    fn locate(&self, row: usize) -> Option<(&TensorRows<'a>, usize)> {
        let rows_per_group = self.rows() / self.groups;
        let (group, mut within) = (row / rows_per_group, row % rows_per_group);
        for part in &self.parts {
            let of_part = part.rows() / self.groups;
            if within < of_part {
                return Some((part, group * of_part + within));
            }
            within -= of_part;
        }
        None
    }

    /// The blocks of a row, and their type.
    fn blocks(&self, row: usize) -> Option<(TensorType, Cow<'a, [u8]>)> {
        let (part, row) = self.locate(row)?;
        Some((part.kind, part.blocks(row)))
    }

    /// Calls `visit` with every affine group of all parts.
    fn for_each_group(&self, mut visit: impl FnMut(&AffineGroup)) {
        for part in &self.parts {
            for row in part.data.chunks_exact(part.row_bytes) {
                affine_groups(part.kind, row, &mut visit);
            }
        }
    }
}

impl FloatRows for ParameterRows<'_> {
    fn read(&self, row: usize, out: &mut [f32]) {
        if let Some((part, row)) = self.locate(row) {
            part.read(row, out);
        }
    }
}

/// Repacks affine groups as packed values, scales and biases.
pub(super) struct AffineRepack<'a> {
    pub(super) rows: ParameterRows<'a>,
    pub(super) bits: u32,
    pub(super) scales: FloatType,
}

impl RowProducer for AffineRepack<'_> {
    fn produce(&self, row: usize, parts: &mut [Vec<u8>]) {
        let ([packed, scales, biases], Some((kind, blocks))) = (parts, self.rows.blocks(row))
        else {
            return;
        };
        affine_groups(kind, &blocks, |group| {
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
pub(super) fn scale_fit(rows: &ParameterRows<'_>, float: FloatType) -> ScaleFit {
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
pub(super) struct Mxfp4Repack<'a>(pub(super) ParameterRows<'a>);

impl RowProducer for Mxfp4Repack<'_> {
    fn produce(&self, row: usize, parts: &mut [Vec<u8>]) {
        let ([packed, scales], Some((_, blocks))) = (parts, self.0.blocks(row)) else {
            return;
        };
        for block in blocks.chunks_exact(1 + GROUP / 2) {
            scales.push(block[0]);
            let values: [u8; GROUP] = std::array::from_fn(|index| {
                let byte = block[1 + index % 16];
                if index < 16 { byte & 15 } else { byte >> 4 }
            });
            pack(&values, 4, packed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(values: &[usize]) -> Vec<u8> {
        let floats = values.iter().map(|value| *value as f32);
        floats.flat_map(f32::to_le_bytes).collect()
    }

    proptest! {
        /// What a writer does with a parameter of the model: it appends the rows of each group to the parts.
        #[test]
        fn rows_of_parts_are_the_inverse_of_the_writers(
            groups in 1..5_usize,
            sizes in prop::collection::vec(1..4_usize, 1..4),
        ) {
            let mut stored = vec![Vec::new(); sizes.len()];
            let mut count = 0;
            for _ in 0..groups {
                for (part, size) in stored.iter_mut().zip(&sizes) {
                    part.extend(count..count + size);
                    count += size;
                }
            }
            let stored: Vec<Vec<u8>> = stored.iter().map(|part| bytes(part)).collect();
            let part = |data| TensorRows::new(TensorType::F32, data, 1);
            let parts = stored.iter().map(|data| part(data.as_slice())).collect();
            let rows = ParameterRows::new(parts, groups);
            prop_assert_eq!(rows.rows(), count);
            for row in 0..count {
                let mut value = [0.0];
                rows.read(row, &mut value);
                prop_assert_eq!(value[0], row as f32);
            }
        }
    }

    #[test]
    fn columns_are_reordered_in_blocks_or_as_floats() {
        let order = Order::by_key_value_head(4, 2, 32).unwrap();
        let mut data = Vec::new();
        for block in 0..4_u8 {
            // 32 values of a quarter, a half, 1 and 2.
            data.extend(half::f16::from_f32(f32::from(1_u8 << block) / 4.0).to_le_bytes());
            data.extend([1; 32]);
        }
        let part = TensorRows::new(TensorType::Q8_0, &data, 128).with_column_order(order);
        let rows = ParameterRows::new(vec![part], 1);
        assert!(rows.keeps_blocks());
        let mut values = vec![0.0; 128];
        rows.read(0, &mut values);
        let firsts: Vec<f32> = values.iter().step_by(32).copied().collect();
        assert_eq!(firsts, [0.25, 1.0, 0.5, 2.0]);
        let (kind, blocks) = rows.blocks(0).unwrap();
        let mut scales = Vec::new();
        affine_groups(kind, &blocks, |group| scales.push(group.scale));
        assert_eq!(scales, firsts);
        let narrow = Order::by_key_value_head(8, 2, 16).unwrap();
        let part = TensorRows::new(TensorType::Q8_0, &data, 128).with_column_order(narrow);
        assert!(!ParameterRows::new(vec![part], 1).keeps_blocks());
    }
}

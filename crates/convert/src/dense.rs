//! Row producers whose output is dense.

use mlxm_kernels::quant::FloatType;

use super::plan::{FloatRows, RowProducer, push_float};

/// Rows converted to the float type `float`.
pub(super) struct DenseRows<R> {
    pub(super) rows: R,
    pub(super) columns: usize,
    pub(super) float: FloatType,
}

impl<R: FloatRows> RowProducer for DenseRows<R> {
    fn produce(&self, row: usize, parts: &mut [Vec<u8>]) {
        let mut values = vec![0.0; self.columns];
        self.rows.read(row, &mut values);
        for value in values {
            push_float(&mut parts[0], value, self.float);
        }
    }
}

/// Rows copied byte for byte, from one slice per output.
pub(super) struct CopiedRows<'a> {
    pub(super) parts: Vec<&'a [u8]>,
    pub(super) rows: usize,
}

impl RowProducer for CopiedRows<'_> {
    fn produce(&self, row: usize, parts: &mut [Vec<u8>]) {
        for (source, part) in self.parts.iter().zip(parts) {
            let row_bytes = source.len() / self.rows;
            part.extend_from_slice(&source[row * row_bytes..][..row_bytes]);
        }
    }
}

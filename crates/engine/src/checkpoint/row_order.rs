//! The order of the rows or columns of a weight, where a checkpoint stores another one than the kernels read.

use mlxm_kernels::{Bytes, Param};

/// A permutation of the rows or columns of a weight, in blocks of equal size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOrder {
    /// The position in the checkpoint of each block.
    pub blocks: Vec<usize>,
}

/// What is reordered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reorder<'a> {
    /// The outputs of a linear layer.
    Rows(&'a RowOrder),
    /// The inputs of a linear layer.
    Columns(&'a RowOrder),
}

impl RowOrder {
    /// Reorders the elements of a tensor that has the same number of elements in each block.
    fn reorder<T: Copy>(&self, elements: &[T]) -> Vec<T> {
        let size = elements.len() / self.blocks.len().max(1);
        let block = |&block: &usize| &elements[block * size..(block + 1) * size];
        self.blocks.iter().flat_map(block).copied().collect()
    }

    /// Reorders the rows of a packed or dense weight, or of its scales.
    pub(super) fn reorder_bytes(&self, bytes: &Bytes) -> Bytes {
        Bytes::owned(self.reorder(bytes.as_slice()))
    }

    /// Reorders the columns of a packed or dense weight, or of its scales, which has `rows` rows.
    pub(super) fn reorder_columns(&self, bytes: &Bytes, rows: usize) -> Bytes {
        let bytes = bytes.as_slice();
        let row_bytes = (bytes.len() / rows.max(1)).max(1);
        let rows = bytes.chunks_exact(row_bytes);
        Bytes::owned(rows.flat_map(|row| self.reorder(row)).collect())
    }

    /// Reorders a bias.
    pub(super) fn reorder_param(&self, param: &Param) -> Param {
        Param::from(self.reorder(param.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_taken_from_their_positions() {
        let order = RowOrder {
            blocks: vec![1, 2, 0],
        };
        let param = Param::from(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let reordered = order.reorder_param(&param);
        assert_eq!(reordered.as_slice(), [2.0, 3.0, 4.0, 5.0, 0.0, 1.0]);
        let bytes = order.reorder_bytes(&Bytes::owned(vec![7, 8, 9]));
        assert_eq!(bytes.as_slice(), [8, 9, 7]);
        let columns = order.reorder_columns(&Bytes::owned(vec![1, 2, 3, 4, 5, 6]), 2);
        assert_eq!(columns.as_slice(), [2, 3, 1, 5, 6, 4]);
        let missing = order.reorder_param(&Param::from(Vec::new()));
        assert!(missing.is_empty());
    }
}

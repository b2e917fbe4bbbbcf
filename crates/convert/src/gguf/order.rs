//! The order of rows and columns in the file, where it is not that of the model.

/// An order in which blocks are transposed: a dimension that the model divides into `[…, major, minor, block]` is stored as
/// `[…, minor, major, block]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    major: usize,
    minor: usize,
    block: usize,
}

impl Order {
    /// That of the model.
    pub(super) const UNCHANGED: Self = Self {
        major: 1,
        minor: 1,
        block: 1,
    };

    /// The rows of heads with `head_rows` rows for interleaved RoPE: those of both halves alternate. `None` if a head has no
    /// halves.
    pub(super) fn interleaved_rope(head_rows: usize) -> Option<Self> {
        (head_rows > 0 && head_rows.is_multiple_of(2)).then_some(Self {
            major: 2,
            minor: head_rows / 2,
            block: 1,
        })
    }

    /// Query heads of `head_dim` elements that are consecutive in the file if they read the same of `key_value_heads` heads,
    /// of which head `i` of the model reads the one with the number `i` modulo `key_value_heads`. `None` if these do not
    /// divide `heads`.
    pub(super) fn by_key_value_head(
        heads: usize,
        key_value_heads: usize,
        head_dim: usize,
    ) -> Option<Self> {
        let divides = key_value_heads > 0 && heads.is_multiple_of(key_value_heads);
        (divides && heads > 0 && head_dim > 0).then(|| Self {
            major: heads / key_value_heads,
            minor: key_value_heads,
            block: head_dim,
        })
    }

    /// The order of blocks of `values` elements; `None` if it splits them.
    pub(super) fn in_blocks_of(self, values: usize) -> Option<Self> {
        if self == Self::UNCHANGED {
            return Some(self);
        }
        let whole = values > 0 && self.block.is_multiple_of(values);
        whole.then(|| Self {
            block: self.block / values,
            ..self
        })
    }

    /// The number of elements that are reordered among themselves.
    pub(super) fn span(self) -> usize {
        self.major * self.minor * self.block
    }

    /// The index in the file of element `index` of the model.
    pub(super) fn stored_index(self, index: usize) -> usize {
        let start = index / self.span() * self.span();
        let (block, within) = ((index - start) / self.block, index % self.block);
        let (major, minor) = (block / self.minor, block % self.minor);
        start + (minor * self.major + major) * self.block + within
    }

    /// `stored` in the order of the model. An element of the order has `width` items.
    pub(super) fn restore<T: Copy>(self, stored: &[T], width: usize) -> Vec<T> {
        let elements = stored.len() / width.max(1);
        (0..elements)
            .flat_map(|index| &stored[self.stored_index(index) * width..][..width])
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a writer does: it moves the elements of the model, one dimension after the other.
    fn stored(elements: &[usize], [major, minor, block]: [usize; 3]) -> Vec<usize> {
        let mut stored = Vec::new();
        for part in elements.chunks(major * minor * block) {
            for column in 0..minor {
                for row in 0..major {
                    let start = (row * minor + column) * block;
                    stored.extend(&part[start..start + block]);
                }
            }
        }
        stored
    }

    #[test]
    fn halves_of_a_head_alternate_with_interleaved_rope() {
        let order = Order::interleaved_rope(6).unwrap();
        let found: Vec<usize> = (0..12).map(|index| order.stored_index(index)).collect();
        assert_eq!(found, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        assert_eq!(Order::interleaved_rope(0), None);
        assert_eq!(Order::interleaved_rope(5), None);
    }

    #[test]
    fn heads_of_a_key_value_head_are_consecutive_in_the_file() {
        // Heads 0, 2 and 4 read the first of two heads.
        let order = Order::by_key_value_head(6, 2, 1).unwrap();
        let found: Vec<usize> = (0..6).map(|index| order.stored_index(index)).collect();
        assert_eq!(found, [0, 3, 1, 4, 2, 5]);
        assert_eq!(Order::by_key_value_head(6, 4, 1), None);
        assert_eq!(Order::by_key_value_head(6, 0, 1), None);
        let wide = Order::by_key_value_head(6, 2, 64).unwrap();
        assert_eq!(wide.in_blocks_of(32), Order::by_key_value_head(6, 2, 2));
        assert_eq!(wide.in_blocks_of(256), None);
        assert_eq!(Order::UNCHANGED.in_blocks_of(256), Some(Order::UNCHANGED));
    }

    proptest! {
        #[test]
        fn order_is_the_inverse_of_the_writers(
            parts in 1..4_usize,
            major in 1..5_usize,
            minor in 1..5_usize,
            block in 1..5_usize,
            width in 1..4_usize,
        ) {
            let order = Order { major, minor, block };
            let elements: Vec<usize> = (0..parts * major * minor * block).collect();
            let stored = stored(&elements, [major, minor, block]);
            prop_assert_eq!(order.restore(&stored, 1), elements.clone());
            let mut indices: Vec<usize> =
                elements.iter().map(|index| order.stored_index(*index)).collect();
            indices.sort_unstable();
            prop_assert_eq!(&indices, &elements);
            let wide = |elements: &[usize]| -> Vec<usize> {
                elements.iter().flat_map(|&element| vec![element; width]).collect()
            };
            prop_assert_eq!(order.restore(&wide(&stored), width), wide(&elements));
        }
    }
}

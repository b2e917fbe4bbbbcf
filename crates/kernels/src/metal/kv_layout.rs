//! The layout of the paged KV cache on a device, which `kv_cache.metal` describes.

use crate::{KvCacheDtype, KvShape};

/// Bytes that tiles are a multiple of, so that every element is aligned for vector loads.
const ALIGNMENT: usize = 16;

/// The keys or the values of one head of a block: elements `[position, element]`, then the scales `[position, run]`, if
/// the type has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// All bytes.
    pub bytes: usize,
    /// Bytes before the scales.
    pub scales: usize,
}

impl Tile {
    /// A tile of `block_size` positions of `elements`.
    pub fn new(block_size: usize, elements: usize, dtype: KvCacheDtype) -> Self {
        let scales = block_size * elements * dtype.element_bytes();
        let scales = scales.next_multiple_of(size_of::<u16>());
        let bytes = scales + block_size * dtype.scales(elements) * size_of::<u16>();
        Self {
            bytes: bytes.next_multiple_of(ALIGNMENT),
            scales,
        }
    }

    /// Tiles of keys and of values.
    pub fn of_cache(shape: KvShape, dtype: KvCacheDtype) -> (Self, Self) {
        let tile = |elements| Self::new(shape.block_size, elements, dtype);
        (tile(shape.key_dim), tile(shape.value_dim))
    }
}

/// Bytes of a block of keys and of a block of values.
pub(super) fn kv_layout(shape: KvShape, dtype: KvCacheDtype) -> (usize, usize) {
    let (keys, values) = Tile::of_cache(shape, dtype);
    (shape.kv_heads * keys.bytes, shape.kv_heads * values.bytes)
}

/// The name of the element type in Metal.
pub(super) fn element_type(dtype: KvCacheDtype) -> &'static str {
    match dtype {
        KvCacheDtype::F32 => "float",
        KvCacheDtype::F16 => "half",
        KvCacheDtype::Int8 => "char",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_blocks_have_no_padding() {
        let shape = KvShape {
            blocks: 3,
            block_size: 16,
            kv_heads: 2,
            key_dim: 128,
            value_dim: 64,
        };
        assert_eq!(
            kv_layout(shape, KvCacheDtype::F16),
            (2 * 16 * 128 * 2, 2 * 16 * 64 * 2)
        );
        for dtype in KvCacheDtype::ALL {
            let (keys, values) = kv_layout(shape, dtype);
            assert_eq!(
                (keys + values) / shape.block_size,
                shape.bytes_per_position(dtype)
            );
        }
    }

    #[test]
    fn tiles_and_scales_are_aligned() {
        for dtype in KvCacheDtype::ALL {
            for elements in 1..70 {
                let tile = Tile::new(3, elements, dtype);
                assert!(tile.bytes.is_multiple_of(16) && tile.scales.is_multiple_of(2));
                assert!(tile.bytes >= tile.scales + 6 * dtype.scales(elements));
            }
        }
    }
}

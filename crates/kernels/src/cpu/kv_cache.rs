//! The paged keys and values of one layer in the layout of the CPU.

use memmap2::{MmapMut, MmapRaw};

use super::{
    kv_write::{CacheSlot, write},
    simd::{SimdLevel, widen_bf16, widen_f16},
};
use crate::{
    KernelError,
    kv::{GROUP, KvCacheDtype, KvShape},
};

/// The memory of a [`crate::KvCache`].
///
/// It is reserved but not committed: a block takes none until it is written.
///
/// Keys are laid out `[block, head, element, position]` and values `[block, head, position, element]`: scores of
/// consecutive positions and the weighted sum of values both run over contiguous memory. The positions of a block and
/// the elements of a value are padded to a multiple of 16, so multiples of 16 waste no memory. The bf16 scales of
/// [`KvCacheDtype::Int8`] follow the elements of each head of a block: `[run, position]` for keys, `[position, run]`
/// for values.
#[derive(Debug)]
pub(crate) struct CpuKvCache {
    shape: KvShape,
    dtype: KvCacheDtype,
    level: SimdLevel,
    keys: MmapRaw,
    values: MmapRaw,
}

impl CpuKvCache {
    /// Reserves a zeroed cache.
    pub fn new(level: SimdLevel, shape: KvShape, dtype: KvCacheDtype) -> Result<Self, KernelError> {
        let bytes_per_position = [
            dtype.head_bytes(shape.key_dim, shape.key_dim),
            dtype.head_bytes(shape.value_dim, shape.value_stride()),
        ];
        let [keys, values] = bytes_per_position.map(|bytes| reserve(shape, bytes));
        Ok(Self {
            shape,
            dtype,
            level,
            keys: keys?,
            values: values?,
        })
    }

    /// The shape of the cache.
    pub fn shape(&self) -> KvShape {
        self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> KvCacheDtype {
        self.dtype
    }

    /// Bytes reserved for keys and values.
    pub fn size_bytes(&self) -> usize {
        self.keys.len() + self.values.len()
    }

    /// Positions per block including padding.
    pub fn stride(&self) -> usize {
        self.shape.stride()
    }

    /// Elements per value including padding.
    pub fn value_stride(&self) -> usize {
        self.shape.value_stride()
    }

    /// Keys of one head of a block: `[key_dim, stride]`, then the scales `[runs, stride]`.
    pub fn keys(&self, block: usize, head: usize) -> *const u8 {
        self.at(&self.keys, block, head)
    }

    /// Values of one head of a block: `[stride, value_stride]`, then the scales `[stride, runs]`.
    pub fn values(&self, block: usize, head: usize) -> *const u8 {
        self.at(&self.values, block, head)
    }

    /// Bytes of one head of a block: of keys, and of values.
    pub fn tile_bytes(&self) -> [usize; 2] {
        let tiles = self.shape.blocks * self.shape.kv_heads;
        [self.keys.len() / tiles, self.values.len() / tiles]
    }

    fn at(&self, map: &MmapRaw, block: usize, head: usize) -> *mut u8 {
        let KvShape {
            blocks, kv_heads, ..
        } = self.shape;
        assert!(
            block < blocks && head < kv_heads,
            "block {block}, head {head}"
        );
        let heads = blocks * kv_heads;
        // The map is `heads` equal parts.
        map.as_mut_ptr()
            .wrapping_add((block * kv_heads + head) * (map.len() / heads))
    }

    /// Stores the keys and values `[kv_heads * dim]` of one position at `slot` = block · block_size + offset.
    ///
    /// # Panics
    /// If the slot is outside the cache, or `key` or `value` have the wrong length.
    ///
    /// # Safety
    /// No other thread writes this slot or reads its block at the same time. Other slots, also of the same block, may
    /// be written.
    pub unsafe fn write(&self, slot: usize, key: &[f32], value: &[f32]) {
        let shape = self.shape;
        assert_eq!(key.len(), shape.kv_heads * shape.key_dim);
        assert_eq!(value.len(), shape.kv_heads * shape.value_dim);
        let heads = key
            .chunks_exact(shape.key_dim)
            .zip(value.chunks_exact(shape.value_dim));
        for (head, (key, value)) in heads.enumerate() {
            // SAFETY: the contract of this function is that of `write_head` for every head.
            unsafe { self.write_head(slot, head, key, value) };
        }
    }

    /// Stores the key and the value of one head of one position.
    ///
    /// # Safety
    /// As for [`CpuKvCache::write`], for this head of the slot.
    pub unsafe fn write_head(&self, slot: usize, head: usize, key: &[f32], value: &[f32]) {
        let shape = self.shape;
        assert_eq!((key.len(), value.len()), (shape.key_dim, shape.value_dim));
        let (block, offset) = (slot / shape.block_size, slot % shape.block_size);
        let cache_slot = CacheSlot {
            dtype: self.dtype,
            keys: self.at(&self.keys, block, head),
            values: self.at(&self.values, block, head),
            offset,
            stride: self.stride(),
            value_stride: self.value_stride(),
        };
        // SAFETY: the CPU supports `self.level`, which was detected. The pointers are tiles of this cache, as `at`
        // asserts, and the lengths are those of its shape. Maps are page-aligned and tiles a multiple of 16 bytes, so
        // they are aligned for f32. No other thread accesses the slot, by the contract of this function.
        unsafe { write(self.level, &cache_slot, key, value) }
    }

    /// One element of a key as f32.
    pub fn key(&self, block: usize, head: usize, offset: usize, element: usize) -> f32 {
        let (stride, dim) = (self.stride(), self.shape.key_dim);
        assert!(offset < stride && element < dim);
        let scale = (dim * stride, element / GROUP * stride + offset);
        // SAFETY: `keys` is a tile of this cache; element and scale are inside it by the assertion.
        unsafe { self.element(self.keys(block, head), element * stride + offset, scale) }
    }

    /// One element of a value as f32.
    pub fn value(&self, block: usize, head: usize, offset: usize, element: usize) -> f32 {
        let (stride, width) = (self.stride(), self.value_stride());
        assert!(offset < stride && element < self.shape.value_dim);
        let runs = self.dtype.scales(self.shape.value_dim);
        let scale = (stride * width, offset * runs + element / GROUP);
        // SAFETY: `values` is a tile of this cache; element and scale are inside it by the assertion.
        unsafe { self.element(self.values(block, head), offset * width + element, scale) }
    }

    /// Element `index` of the tile at `start`. The tile has `scale.0` elements; `scale.1` is the index of the scale
    /// among the scales that follow them.
    ///
    /// # Safety
    /// `start` is a tile of this cache's keys or values, element and scale are inside it, and no thread writes them.
    unsafe fn element(&self, start: *const u8, index: usize, scale: (usize, usize)) -> f32 {
        // SAFETY: the contract of this function. Maps are zeroed when created, hence initialized, and byte arrays
        // need no alignment.
        unsafe {
            let half = |from: *const u8| u16::from_ne_bytes(from.cast::<[u8; 2]>().read());
            match self.dtype {
                KvCacheDtype::F32 => {
                    f32::from_ne_bytes(start.add(4 * index).cast::<[u8; 4]>().read())
                }
                KvCacheDtype::F16 => widen_f16(half(start.add(2 * index))),
                KvCacheDtype::Int8 => {
                    let scale = widen_bf16(half(start.add(scale.0 + 2 * scale.1)));
                    f32::from(start.cast::<i8>().add(index).read()) * scale
                }
            }
        }
    }
}

fn reserve(shape: KvShape, bytes_per_position: usize) -> Result<MmapRaw, KernelError> {
    let size_bytes = [shape.kv_heads, shape.stride(), bytes_per_position]
        .into_iter()
        .fold(shape.blocks as u128, |size, factor| {
            size.saturating_mul(factor as u128)
        });
    let error = |reason: String| KernelError::CacheMemory { size_bytes, reason };
    if size_bytes == 0 {
        return Err(error(format!("{shape:?} has a dimension of 0")));
    }
    let size = usize::try_from(size_bytes).map_err(|reason| error(reason.to_string()))?;
    let map = MmapMut::map_anon(size).map_err(|reason| error(reason.to_string()))?;
    Ok(map.into())
}

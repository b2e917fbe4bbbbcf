//! The paged keys and values of one layer on a device.

use super::{BufferRange, backend::Metal, device_memory::DeviceMemory, kv_layout::kv_layout};
use crate::{
    KernelError,
    kv::{KvCacheDtype, KvShape},
};

/// The memory of a [`crate::KvCache`]: blocks of keys, and blocks of values. It is zeroed, and takes no memory until it is
/// written.
#[derive(Debug)]
pub(crate) struct MetalKvCache {
    keys: DeviceMemory,
    values: DeviceMemory,
    /// Bytes of all blocks.
    key_bytes: usize,
    value_bytes: usize,
}

impl MetalKvCache {
    /// Reserves a cache.
    pub fn new(metal: &Metal, shape: KvShape, dtype: KvCacheDtype) -> Result<Self, KernelError> {
        let KvShape {
            blocks,
            block_size,
            kv_heads,
            key_dim,
            value_dim,
        } = shape;
        let (key_block, value_block) = kv_layout(shape, dtype);
        let total = |bytes: usize| blocks.checked_mul(bytes).filter(|total| *total > 0);
        let (Some(key_bytes), Some(value_bytes)) = (total(key_block), total(value_block)) else {
            return Err(KernelError::CacheMemory {
                size_bytes: blocks as u128 * (key_block as u128 + value_block as u128),
                reason: format!(
                    "{blocks} blocks of {block_size} positions, {kv_heads} heads of {key_dim} and {value_dim}"
                ),
            });
        };
        Ok(Self {
            keys: DeviceMemory::zeroed(metal.queue(), key_bytes)?,
            values: DeviceMemory::zeroed(metal.queue(), value_bytes)?,
            key_bytes,
            value_bytes,
        })
    }

    /// Bytes of keys and values.
    pub fn size_bytes(&self) -> usize {
        self.keys.len() + self.values.len()
    }

    /// All keys, and all values.
    pub fn ranges(&self) -> (BufferRange, BufferRange) {
        (
            self.keys.range(0, self.key_bytes),
            self.values.range(0, self.value_bytes),
        )
    }
}

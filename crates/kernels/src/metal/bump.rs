//! Values that the host writes for a device, one after the other.

use std::sync::Arc;

use super::{BufferRange, device_memory::DeviceMemory, queue::Queue};
use crate::{Element, KernelError};

/// Values start at multiples of this many bytes, which devices require of the offsets of constants.
const ALIGNMENT: usize = 256;
/// Bytes of the smallest chunk.
const MIN_CHUNK: usize = 1 << 20;

/// Chunks of memory that are filled from the start.
#[derive(Debug, Default)]
pub(super) struct Bump {
    chunks: Vec<DeviceMemory>,
    /// Used bytes of the last chunk.
    used: usize,
}

impl Bump {
    /// Discards all values, which the device does not use any more. Several chunks become one.
    pub fn clear(&mut self, queue: &Arc<Queue>) -> Result<(), KernelError> {
        self.used = 0;
        if self.chunks.len() > 1 {
            let total = self.chunks.iter().map(DeviceMemory::len).sum();
            self.chunks.clear();
            self.chunks.push(DeviceMemory::zeroed(queue, total)?);
        }
        Ok(())
    }

    /// Adds `count` elements, which `write` fills.
    pub fn add<T: Element>(
        &mut self,
        queue: &Arc<Queue>,
        count: usize,
        write: impl FnOnce(&mut [T]),
    ) -> Result<BufferRange, KernelError> {
        let bytes = count.saturating_mul(size_of::<T>());
        let fits = |chunk: &DeviceMemory| chunk.len() - self.used >= bytes;
        if !self.chunks.last().is_some_and(fits) {
            let total: usize = self.chunks.iter().map(DeviceMemory::len).sum();
            let size = bytes.max(total).max(MIN_CHUNK);
            self.chunks.push(DeviceMemory::zeroed(queue, size)?);
            self.used = 0;
        }
        let last = self.chunks.len() - 1;
        let chunk = &self.chunks[last];
        // SAFETY: the elements are inside the chunk, which is aligned to pages, as `used` is to all elements. The memory
        // of a chunk is initialized, and every bit pattern is a valid `T`. Nothing else refers to the free part of a chunk.
        let values = unsafe {
            let start = chunk.pointer().add(self.used).cast::<T>();
            std::slice::from_raw_parts_mut(start, count)
        };
        write(values);
        let range = chunk.range(self.used, bytes);
        self.used = (self.used + bytes)
            .next_multiple_of(ALIGNMENT)
            .min(chunk.len());
        Ok(range)
    }
}

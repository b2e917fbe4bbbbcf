//! Main memory that a device uses without copying it.

use std::sync::Arc;

use memmap2::{Mmap, MmapMut, MmapRaw};

use super::{BufferId, BufferRange, queue::Queue};
use crate::KernelError;

/// Whole pages of main memory.
#[derive(Debug)]
pub(crate) enum HostMemory {
    /// Zeroed memory.
    Anonymous(MmapRaw),
    /// Memory that is never written: a file, or a copy of tensors.
    Constant(Arc<Mmap>),
}

impl HostMemory {
    pub fn pointer(&self) -> *mut u8 {
        match self {
            Self::Anonymous(map) => map.as_mut_ptr(),
            Self::Constant(map) => map.as_ptr().cast_mut(),
        }
    }

    /// Bytes, a multiple of the page size. The system maps whole pages, also of a file that ends inside one.
    pub fn len(&self) -> usize {
        let len = match self {
            Self::Anonymous(map) => map.len(),
            Self::Constant(map) => map.len(),
        };
        len.next_multiple_of(page_size())
    }
}

/// Memory that a device knows.
#[derive(Debug)]
pub(crate) struct DeviceMemory {
    /// Taken when it is dropped.
    memory: Option<HostMemory>,
    pointer: *mut u8,
    len: usize,
    buffer: BufferId,
    queue: Arc<Queue>,
}

// SAFETY: `pointer` is that of `memory`, which is `Send`.
unsafe impl Send for DeviceMemory {}
// SAFETY: the methods only compute pointers and numbers.
unsafe impl Sync for DeviceMemory {}

impl DeviceMemory {
    /// At least `size_bytes` zeroed bytes.
    pub fn zeroed(queue: &Arc<Queue>, size_bytes: usize) -> Result<Self, KernelError> {
        let rounded = size_bytes.max(1).checked_next_multiple_of(page_size());
        let map = rounded
            .ok_or_else(|| "the size overflows".to_owned())
            .and_then(|bytes| MmapMut::map_anon(bytes).map_err(|error| error.to_string()))
            .map_err(|reason| KernelError::DeviceMemory { size_bytes, reason })?;
        Self::new(queue, HostMemory::Anonymous(map.into()))
    }

    /// A map that is never written.
    pub fn constant(queue: &Arc<Queue>, map: Arc<Mmap>) -> Result<Self, KernelError> {
        Self::new(queue, HostMemory::Constant(map))
    }

    fn new(queue: &Arc<Queue>, memory: HostMemory) -> Result<Self, KernelError> {
        let len = memory.len();
        let buffer = queue
            .map(&memory)
            .map_err(|error| KernelError::DeviceMemory {
                size_bytes: len,
                reason: error.0,
            })?;
        Ok(Self {
            pointer: memory.pointer(),
            memory: Some(memory),
            len,
            buffer,
            queue: queue.clone(),
        })
    }

    pub fn pointer(&self) -> *mut u8 {
        self.pointer
    }

    /// Number of bytes, a multiple of the page size.
    pub fn len(&self) -> usize {
        self.len
    }

    /// `bytes` bytes from `offset`.
    pub fn range(&self, offset: usize, bytes: usize) -> BufferRange {
        debug_assert!(offset <= self.len && bytes <= self.len - offset);
        BufferRange {
            buffer: self.buffer,
            offset,
            bytes,
        }
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.queue.retire(self.buffer, memory);
        }
    }
}

/// Bytes of a page of the system.
fn page_size() -> usize {
    // SAFETY: `sysconf` only reads.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // Apple's GPUs have the largest pages.
    usize::try_from(size).unwrap_or(16 << 10)
}

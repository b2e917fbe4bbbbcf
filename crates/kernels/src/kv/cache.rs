//! A layer's key/value cache.

use std::sync::atomic::{AtomicU64, Ordering};

use super::dtype::KvCacheDtype;
use crate::{
    KernelError, Kernels,
    backend::Backend,
    cpu::{kv_cache::CpuKvCache, simd::LANES},
    metal::MetalKvCache,
};

/// The size of one layer's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// Physical blocks.
    pub blocks: usize,
    /// Positions per block.
    pub block_size: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Elements of a key head.
    pub key_dim: usize,
    /// Elements of a value head.
    pub value_dim: usize,
}

impl KvShape {
    /// Bytes that one position takes in a cache of this type whose `block_size` is a multiple of 16.
    pub fn bytes_per_position(&self, dtype: KvCacheDtype) -> usize {
        let value = dtype.head_bytes(self.value_dim, self.value_stride());
        self.kv_heads * (dtype.head_bytes(self.key_dim, self.key_dim) + value)
    }

    /// Positions per block including padding.
    pub(crate) fn stride(&self) -> usize {
        self.block_size.next_multiple_of(LANES)
    }

    /// Elements per value including padding.
    pub(crate) fn value_stride(&self) -> usize {
        self.value_dim.next_multiple_of(LANES)
    }
}

/// One layer's paged keys and values.
///
/// Their memory and its layout are the backend's. A block takes no memory until it is written, where the backend can
/// reserve memory without committing it.
#[derive(Debug)]
pub struct KvCache {
    shape: KvShape,
    dtype: KvCacheDtype,
    /// Different for every cache.
    id: u64,
    memory: KvMemory,
}

/// The keys and values on their device.
#[derive(Debug)]
enum KvMemory {
    Cpu(CpuKvCache),
    Metal(MetalKvCache),
    Counted,
}

impl KvCache {
    /// Reserves a zeroed cache on the device of `kernels`.
    ///
    /// # Errors
    /// If a dimension is 0 or the memory cannot be reserved.
    pub fn new(
        kernels: &Kernels,
        shape: KvShape,
        dtype: KvCacheDtype,
    ) -> Result<Self, KernelError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let memory = match kernels.backend() {
            Backend::Cpu(cpu) => KvMemory::Cpu(CpuKvCache::new(cpu.level(), shape, dtype)?),
            Backend::Metal(metal) => KvMemory::Metal(MetalKvCache::new(metal, shape, dtype)?),
            Backend::Counting(_) => KvMemory::Counted,
        };
        Ok(Self {
            shape,
            dtype,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            memory,
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
        match &self.memory {
            KvMemory::Cpu(cache) => cache.size_bytes(),
            KvMemory::Metal(cache) => cache.size_bytes(),
            KvMemory::Counted => 0,
        }
    }

    /// Distinguishes this cache from all others.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The cache of the CPU backend.
    pub(crate) fn on_cpu(&self, op: &'static str) -> Result<&CpuKvCache, KernelError> {
        match &self.memory {
            KvMemory::Cpu(cache) => Ok(cache),
            KvMemory::Metal(_) | KvMemory::Counted => Err(other_device(op)),
        }
    }

    /// The cache of the Metal backend.
    pub(crate) fn on_metal(&self, op: &'static str) -> Result<&MetalKvCache, KernelError> {
        match &self.memory {
            KvMemory::Metal(cache) => Ok(cache),
            KvMemory::Cpu(_) | KvMemory::Counted => Err(other_device(op)),
        }
    }
}

fn other_device(op: &'static str) -> KernelError {
    let problem = "a cache of another device";
    KernelError::Handle { op, problem }
}

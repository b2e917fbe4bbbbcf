//! The cache that a model is given: one paged store per layer, sharing block tables by cache group.

use mlxm_kernels::{KernelError, Kernels, KvCache, KvCacheDtype, KvShape};
use mlxm_kvcache::GroupKind;

use super::memory::MemoryPlan;
use crate::nn::AttentionDims;
use crate::options::BLOCK_SIZE;

/// What one attention layer keeps per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLayer {
    /// How long its entries live; layers of the same kind share block tables.
    pub kind: GroupKind,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a key.
    pub key_dim: usize,
    /// Width of a value.
    pub value_dim: usize,
}

impl CacheLayer {
    /// A layer whose keys and values are as wide as its heads.
    pub fn new(kind: GroupKind, heads: AttentionDims) -> Self {
        Self {
            kind,
            kv_heads: heads.kv_heads,
            key_dim: heads.head_dim,
            value_dim: heads.head_dim,
        }
    }

    /// Bytes of one token's key and value.
    pub fn bytes_per_token(&self, kv_cache_dtype: KvCacheDtype) -> u64 {
        self.shape(0, BLOCK_SIZE).bytes_per_position(kv_cache_dtype) as u64
    }

    fn shape(&self, blocks: usize, block_size: usize) -> KvShape {
        KvShape {
            blocks,
            block_size,
            kv_heads: self.kv_heads,
            key_dim: self.key_dim,
            value_dim: self.value_dim,
        }
    }
}

/// Keys and values of every layer.
#[derive(Debug)]
pub struct CachePool {
    layers: Vec<KvCache>,
    group_of_layer: Vec<usize>,
}

impl CachePool {
    /// Allocates what the plan says. Pages are committed as they are first written.
    ///
    /// # Errors
    /// When the system does not give the address space.
    pub fn new(
        kernels: &Kernels,
        layers: &[CacheLayer],
        plan: &MemoryPlan,
    ) -> Result<Self, KernelError> {
        let group_of_layer: Vec<usize> = layers
            .iter()
            .map(|layer| plan.group_of(layer.kind))
            .collect();
        let stores = layers
            .iter()
            .zip(&group_of_layer)
            .map(|(layer, &group)| {
                let shape = layer.shape(plan.groups[group].blocks, plan.block_size);
                KvCache::new(kernels, shape, plan.kv_cache_dtype)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            layers: stores,
            group_of_layer,
        })
    }

    /// The cache group whose block tables `layer` uses.
    pub fn group_of(&self, layer: usize) -> usize {
        self.group_of_layer[layer]
    }

    /// The store of `layer`.
    pub fn layer(&self, layer: usize) -> &KvCache {
        &self.layers[layer]
    }

    /// The store of `layer`, to write to.
    pub fn layer_mut(&mut self, layer: usize) -> &mut KvCache {
        &mut self.layers[layer]
    }
}

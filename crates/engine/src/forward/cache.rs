//! The KV cache that is passed to a model: one paged cache per layer. Layers of the same kind form a cache group and share block
//! tables.

use mlxm_kernels::{KernelError, Kernels, KvCache, KvCacheDtype, KvShape};
use mlxm_kvcache::GroupKind;

use super::AttentionDims;
use crate::options::BLOCK_SIZE;

/// What an attention layer caches per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLayer {
    /// Which positions it attends to. Layers of the same kind share block tables.
    pub kind: GroupKind,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a key.
    pub key_dim: usize,
    /// Width of a value.
    pub value_dim: usize,
}

impl CacheLayer {
    /// A layer whose keys and values have the width of its heads.
    pub fn new(kind: GroupKind, dims: AttentionDims) -> Self {
        Self {
            kind,
            kv_heads: dims.kv_heads,
            key_dim: dims.head_dim,
            value_dim: dims.head_dim,
        }
    }

    /// Bytes of the keys and values of one token.
    pub fn bytes_per_token(&self, dtype: KvCacheDtype) -> u64 {
        self.shape(0, BLOCK_SIZE).bytes_per_position(dtype) as u64
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

/// The planned blocks of one cache group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheGroupPlan {
    /// Which positions these layers attend to.
    pub kind: GroupKind,
    /// Number of layers.
    pub layers: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Bytes of a block, all layers together.
    pub block_bytes: u64,
}

/// The KV caches of all layers.
#[derive(Debug)]
pub struct CachePool {
    layers: Vec<KvCache>,
    group_of_layer: Vec<usize>,
}

impl CachePool {
    /// Reserves address space for the planned blocks of each group, `block_size` tokens each. The operating system allocates
    /// pages when they are first written.
    ///
    /// # Errors
    /// When the address space cannot be reserved.
    pub fn new(
        kernels: &Kernels,
        layers: &[CacheLayer],
        groups: &[CacheGroupPlan],
        block_size: usize,
        dtype: KvCacheDtype,
    ) -> Result<Self, KernelError> {
        let group_of = |layer: &CacheLayer| {
            let same_kind = |group: &CacheGroupPlan| group.kind == layer.kind;
            groups.iter().position(same_kind).unwrap_or_default()
        };
        let group_of_layer: Vec<usize> = layers.iter().map(group_of).collect();
        let caches = layers
            .iter()
            .zip(&group_of_layer)
            .map(|(layer, &group)| {
                let shape = layer.shape(groups[group].blocks, block_size);
                KvCache::new(kernels, shape, dtype)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            layers: caches,
            group_of_layer,
        })
    }

    /// The cache group whose block tables `layer` uses.
    pub fn group_of(&self, layer: usize) -> usize {
        self.group_of_layer[layer]
    }

    /// The cache of `layer`.
    pub fn layer(&self, layer: usize) -> &KvCache {
        &self.layers[layer]
    }

    /// The cache of `layer`, for writing.
    pub fn layer_mut(&mut self, layer: usize) -> &mut KvCache {
        &mut self.layers[layer]
    }
}

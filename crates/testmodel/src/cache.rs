use mlxm_engine::forward::{CacheGroupPlan, CachePool, ModelConfig};
use mlxm_engine::{BLOCK_SIZE, KvCacheDtype};
use mlxm_kernels::Kernels;
use mlxm_kvcache::{BlockPool, GroupConfig, PoolConfig};

/// A KV cache of a model with `tokens` slots in each group of layers, and its blocks.
pub fn cache(
    kernels: &Kernels,
    config: &dyn ModelConfig,
    tokens: usize,
    dtype: KvCacheDtype,
) -> (CachePool, BlockPool) {
    let layers = config.cache_layers();
    let mut groups: Vec<CacheGroupPlan> = Vec::new();
    for layer in &layers {
        if groups.iter().all(|group| group.kind != layer.kind) {
            groups.push(CacheGroupPlan {
                kind: layer.kind,
                layers: 1,
                blocks: tokens / BLOCK_SIZE,
                block_bytes: 0,
            });
        }
    }
    let cache = CachePool::new(kernels, &layers, &groups, BLOCK_SIZE, dtype).unwrap();
    let configs = groups.iter().map(|group| GroupConfig {
        kind: group.kind,
        blocks: group.blocks,
    });
    let pool = BlockPool::new(PoolConfig {
        block_size: BLOCK_SIZE,
        groups: configs.collect(),
    });
    (cache, pool.unwrap())
}

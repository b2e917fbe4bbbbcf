//! The memory of KV caches is what the memory plan counts.

use mlxm_engine::forward::{CacheGroupPlan, CacheLayer, CachePool};
use mlxm_engine::{BLOCK_SIZE, KvCacheDtype};
use mlxm_kernels::Kernels;
use mlxm_kvcache::GroupKind;
use mlxm_metal_host::{Options, Order};

use crate::device::device;

/// Of which whole pages are full for every head width.
const BLOCKS: usize = 4096 / BLOCK_SIZE;

/// Bytes that a cache with these widths of keys and values has, and those that are planned.
fn sizes(dims: [usize; 2], kv_heads: usize, dtype: KvCacheDtype) -> (u64, u64) {
    let [key_dim, value_dim] = dims;
    let layer = CacheLayer {
        kind: GroupKind::Full,
        kv_heads,
        key_dim,
        value_dim,
    };
    let block_bytes = layer.bytes_per_token(dtype) * BLOCK_SIZE as u64;
    let group = CacheGroupPlan {
        kind: layer.kind,
        layers: 1,
        blocks: BLOCKS,
        block_bytes,
    };
    let kernels = Kernels::on_device(device(Order::Forward, Options::default()));
    let pool = CachePool::new(&kernels, &[layer], &[group], BLOCK_SIZE, dtype).unwrap();
    let allocated = pool.layer(0).size_bytes() as u64;
    (allocated, BLOCKS as u64 * block_bytes)
}

#[test]
fn caches_of_usual_heads_have_the_planned_size() {
    for dtype in KvCacheDtype::ALL {
        for dims in [64, 80, 96, 112, 128, 192, 256].map(|dim| [dim; 2]) {
            let (allocated, planned) = sizes(dims, 2, dtype);
            assert_eq!(allocated, planned, "{dtype}, heads of {dims:?}");
        }
        let (allocated, planned) = sizes([192, 128], 3, dtype);
        assert_eq!(allocated, planned, "{dtype}, keys of 192 and values of 128");
    }
}

/// The plan counts values padded to a multiple of 16 elements, as the CPU has them.
#[test]
fn caches_of_other_heads_are_not_larger_than_planned() {
    for dtype in KvCacheDtype::ALL {
        for dim in [1, 7, 40, 72, 100, 250] {
            let (allocated, planned) = sizes([dim; 2], 1, dtype);
            let padded = sizes([dim, dim.next_multiple_of(16)], 1, dtype).0;
            assert!(allocated <= planned, "{dtype}, heads of {dim}");
            assert_eq!(planned, padded, "{dtype}, heads of {dim}");
        }
    }
}

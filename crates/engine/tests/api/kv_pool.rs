//! Size of the KV cache.

use crate::support::{all_golden, golden, options};
use mlxm_engine::{BLOCK_SIZE, GroupKind, LoadOptions, inspect};

#[test]
fn kv_pool_tokens_limits_the_pool() {
    for path in all_golden() {
        let whole = LoadOptions {
            max_sequences: 4,
            max_batch_tokens: 32,
            context_length: Some(128),
            ..options()
        };
        let less = LoadOptions {
            kv_pool_tokens: Some(200),
            ..whole.clone()
        };
        let (_, whole) = inspect(&path, &whole).unwrap();
        let (_, less) = inspect(&path, &less).unwrap();
        assert!(less.kv_pool_bytes < whole.kv_pool_bytes);
        assert_eq!(
            whole.total_bytes - less.total_bytes,
            whole.kv_pool_bytes - less.kv_pool_bytes
        );
        for (less, whole) in less.groups.iter().zip(&whole.groups) {
            assert!(less.blocks >= less.kind.max_blocks_per_sequence(128, 32, BLOCK_SIZE));
            assert!(less.blocks <= whole.blocks);
            if less.kind == GroupKind::Full {
                assert_eq!((less.blocks, whole.blocks), (7, 16));
            }
        }
    }
}

#[test]
fn pool_smaller_than_the_context_is_rejected() {
    let path = golden("llama-f16");
    let small = LoadOptions {
        kv_pool_tokens: Some(100),
        ..options()
    };
    assert_eq!(inspect(&path, &small).unwrap().1.context_length, 100);
    let too_small = LoadOptions {
        context_length: Some(128),
        ..small
    };
    let error = inspect(&path, &too_small).unwrap_err().to_string();
    assert!(
        error.contains("holds 100 tokens") && error.contains("128"),
        "{error}"
    );
    let nothing = LoadOptions {
        kv_pool_tokens: Some(1),
        ..options()
    };
    assert!(inspect(&path, &nothing).is_err());
}

#[test]
fn layers_with_the_same_window_share_a_cache_group() {
    let (info, plan) = inspect(golden("gemma3-window-8"), &options()).unwrap();
    assert_eq!(info.sliding_window, Some(8));
    let kinds: Vec<(GroupKind, usize)> = plan
        .groups
        .iter()
        .map(|group| (group.kind, group.layers))
        .collect();
    assert_eq!(
        kinds,
        [
            (GroupKind::SlidingWindow { window: 8 }, 2),
            (GroupKind::Full, 1)
        ]
    );
    let bytes: u64 = plan
        .groups
        .iter()
        .map(|group| group.blocks as u64 * group.block_bytes)
        .sum();
    assert_eq!(bytes, plan.kv_pool_bytes);
}

#[test]
fn each_cache_size_is_the_plan_of_a_load_with_it() {
    for path in all_golden() {
        let several = LoadOptions {
            max_sequences: 4,
            ..options()
        };
        let (info, plan) = inspect(&path, &several).unwrap();
        let sizes = plan.cache_sizes(info.max_position_embeddings, &several);
        let maximum = info.max_position_embeddings.unwrap();
        // Shorter than 8k tokens: the only context, with a pool of two contexts and of one.
        let tokens: Vec<(usize, usize)> = sizes
            .iter()
            .map(|size| (size.context_length, size.kv_pool_tokens))
            .collect();
        assert_eq!(tokens, [(maximum, 2 * maximum), (maximum, maximum)]);
        for size in sizes {
            let load = |memory_bytes| LoadOptions {
                context_length: Some(size.context_length),
                kv_pool_tokens: Some(size.kv_pool_tokens),
                memory_bytes: Some(memory_bytes),
                ..several.clone()
            };
            let (_, exact) = inspect(&path, &load(size.total_bytes)).unwrap();
            assert_eq!(exact.total_bytes, size.total_bytes);
            assert!(inspect(&path, &load(size.total_bytes - 1)).is_err());
        }
    }
}

#[test]
fn cache_sizes_keep_the_values_of_the_options() {
    let stated = LoadOptions {
        max_sequences: 4,
        context_length: Some(64),
        kv_pool_tokens: Some(96),
        ..options()
    };
    let (info, plan) = inspect(golden("llama-f16"), &stated).unwrap();
    let sizes = plan.cache_sizes(info.max_position_embeddings, &stated);
    assert_eq!(sizes.len(), 1);
    assert_eq!((sizes[0].context_length, sizes[0].kv_pool_tokens), (64, 96));
    assert_eq!(sizes[0].total_bytes, plan.total_bytes);
}

#[test]
fn cache_sizes_of_a_long_context_end_at_8k_tokens() {
    let (_, plan) = inspect(golden("llama-f16"), &options()).unwrap();
    let one = LoadOptions {
        max_sequences: 1,
        ..options()
    };
    let contexts = |maximum| -> Vec<usize> {
        let sizes = plan.cache_sizes(maximum, &one);
        sizes.iter().map(|size| size.context_length).collect()
    };
    assert_eq!(contexts(Some(40_960)), [40_960, 32_768, 16_384, 8192]);
    assert_eq!(contexts(None), [65_536, 32_768, 16_384, 8192]);
    let sizes = plan.cache_sizes(Some(40_960), &one);
    assert!(sizes.is_sorted_by(|longer, shorter| longer.total_bytes > shorter.total_bytes));
}

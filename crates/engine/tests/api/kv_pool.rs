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

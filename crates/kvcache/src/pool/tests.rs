//! Example-based tests; random operations are in `random_operations`.

use super::*;
use crate::GroupConfig;

mod random_operations;

fn pool(block_size: usize, groups: &[(GroupKind, usize)]) -> BlockPool {
    let groups = groups.iter();
    BlockPool::new(PoolConfig {
        block_size,
        groups: groups
            .map(|&(kind, blocks)| GroupConfig { kind, blocks })
            .collect(),
    })
    .unwrap()
}

fn window(window: usize) -> GroupKind {
    GroupKind::SlidingWindow { window }
}

/// Computes all of `tokens` in one step and releases the sequence.
fn compute(pool: &mut BlockPool, tokens: &[u32], salt: u64) -> usize {
    let mut cache = pool.match_prefix(tokens, salt);
    let hit = cache.cached_tokens();
    pool.allocate_slots(&mut cache, tokens.len()).unwrap();
    pool.cache_full_blocks(&mut cache, tokens, tokens.len());
    pool.release(cache);
    hit
}

#[test]
fn prefix_hit_is_block_aligned_and_leaves_one_token() {
    let mut pool = pool(4, &[(GroupKind::Full, 8)]);
    let tokens: Vec<u32> = (0..10).collect();
    assert_eq!(compute(&mut pool, &tokens, 0), 0);
    assert_eq!(compute(&mut pool, &tokens, 0), 8);
    assert_eq!(compute(&mut pool, &tokens[..9], 0), 8);
    assert_eq!(compute(&mut pool, &tokens[..8], 0), 4);
    assert_eq!(compute(&mut pool, &tokens[..4], 0), 0);
    assert_eq!(compute(&mut pool, &[], 0), 0);
}

#[test]
fn prefix_hit_requires_equal_salt_and_equal_leading_tokens() {
    let mut pool = pool(2, &[(GroupKind::Full, 16)]);
    compute(&mut pool, &[1, 2, 3, 4, 5], 0);
    assert_eq!(compute(&mut pool, &[1, 2, 3, 4, 5], 1), 0);
    assert_eq!(compute(&mut pool, &[9, 2, 3, 4, 5], 0), 0);
    assert_eq!(compute(&mut pool, &[1, 2, 3, 9, 5], 0), 2);
}

#[test]
fn allocate_slots_is_atomic_across_groups() {
    let mut pool = pool(2, &[(GroupKind::Full, 8), (window(4), 2)]);
    let mut cache = pool.sequence_without_prefix_caching();
    assert_eq!(pool.max_allocatable_len(&cache), 4);
    assert!(pool.can_allocate(&cache, 4));
    let shortfall = OutOfBlocks {
        group: 1,
        needed: 3,
        free: 2,
    };
    assert_eq!(pool.allocate_slots(&mut cache, 5), Err(shortfall));
    assert_eq!(cache.capacity(), 0);
    assert_eq!((pool.free_blocks(0), pool.free_blocks(1)), (8, 2));
    pool.allocate_slots(&mut cache, 3).unwrap();
    assert_eq!(cache.capacity(), 4);
    pool.release(cache);
}

#[test]
fn sliding_window_frees_blocks_it_has_passed() {
    let mut pool = pool(2, &[(GroupKind::Full, 8), (window(3), 8)]);
    let tokens: Vec<u32> = (0..10).collect();
    let mut cache = pool.match_prefix(&tokens, 0);
    pool.allocate_slots(&mut cache, 7).unwrap();
    // Position 6 attends to 4 and 5, which are in logical block 2.
    pool.cache_full_blocks(&mut cache, &tokens, 6);
    assert_eq!(cache.table(0).allocated_blocks(), 4);
    assert_eq!(cache.table(1).null_blocks(), 2);
    assert_eq!(cache.slot(1, 3), None);
    assert!(cache.slot(1, 4).is_some());
    assert_eq!(pool.free_blocks(1), 6);
    pool.release(cache);
    assert_eq!(pool.free_blocks(1), 8);
}

#[test]
fn sliding_window_hit_needs_only_the_last_blocks() {
    let mut pool = pool(2, &[(GroupKind::Full, 16), (window(3), 5)]);
    let tokens: Vec<u32> = (0..17).collect();
    let mut cache = pool.match_prefix(&tokens, 0);
    for computed in 0..17 {
        pool.allocate_slots(&mut cache, computed + 1).unwrap();
        pool.cache_full_blocks(&mut cache, &tokens, computed + 1);
    }
    pool.release(cache);

    // The window group has reused the first blocks; the full-attention group still has them.
    let cache = pool.match_prefix(&tokens, 0);
    assert_eq!(cache.cached_tokens(), 16);
    assert_eq!(cache.table(1).null_blocks(), 7);
    assert_eq!(cache.table(1).allocated_blocks(), 1);
    pool.release(cache);
    assert_eq!(compute(&mut pool, &tokens[..5], 0), 0);
}

#[test]
fn eviction_starts_with_the_end_of_the_least_recently_used_sequence() {
    let mut pool = pool(1, &[(GroupKind::Full, 6)]);
    compute(&mut pool, &[1, 2, 3], 0);
    compute(&mut pool, &[4, 5, 6], 0);
    assert_eq!(pool.stats().groups[0].cached, 6);
    let mut other = pool.sequence_without_prefix_caching();
    pool.allocate_slots(&mut other, 2).unwrap();
    pool.release(other);
    assert_eq!(compute(&mut pool, &[1, 0], 0), 1);
    assert_eq!(compute(&mut pool, &[4, 5, 6, 0], 0), 3);
}

#[test]
fn truncate_frees_slots_of_rejected_drafts() {
    let mut pool = pool(2, &[(GroupKind::Full, 8), (window(3), 8)]);
    let tokens = [1, 2, 3, 4, 5];
    let mut cache = pool.match_prefix(&tokens, 0);
    pool.allocate_slots(&mut cache, 9).unwrap();
    pool.cache_full_blocks(&mut cache, &tokens, 5);
    assert_eq!(pool.truncate(&mut cache, 5), 5);
    assert_eq!(cache.capacity(), 6);
    assert_eq!(pool.free_blocks(0), 5);
    pool.release(cache);
}

#[test]
fn truncate_drops_shared_blocks_and_evicts_its_own() {
    let mut pool = pool(2, &[(GroupKind::Full, 8)]);
    let tokens = [1, 2, 3, 4, 5];
    compute(&mut pool, &tokens, 0);
    let mut one = pool.match_prefix(&tokens, 0);
    let two = pool.match_prefix(&tokens, 0);
    assert_eq!(pool.truncate(&mut one, 3), 2);
    pool.release(two);

    // Without another reference the block stays writable, and must no longer be in the prefix cache.
    let mut alone = pool.match_prefix(&tokens, 0);
    assert_eq!(pool.truncate(&mut alone, 3), 3);
    let other = pool.match_prefix(&tokens, 0);
    assert_eq!(other.cached_tokens(), 2);
    for cache in [one, alone, other] {
        pool.release(cache);
    }
}

#[test]
fn truncate_before_the_sliding_window_leaves_nothing() {
    let mut pool = pool(2, &[(window(2), 8)]);
    let tokens: Vec<u32> = (0..9).collect();
    let mut cache = pool.match_prefix(&tokens, 0);
    pool.allocate_slots(&mut cache, 9).unwrap();
    pool.cache_full_blocks(&mut cache, &tokens, 9);
    assert_eq!(pool.truncate(&mut cache, 3), 0);
    assert_eq!(cache.capacity(), 0);
    assert_eq!(pool.free_blocks(0), 8);
    pool.release(cache);
}

#[test]
fn prefix_cache_queries_count_once_slots_are_allocated() {
    let mut pool = pool(2, &[(GroupKind::Full, 8)]);
    let tokens = [1, 2, 3, 4, 5];
    compute(&mut pool, &tokens, 0);
    for _ in 0..3 {
        let waiting = pool.match_prefix(&tokens, 0);
        pool.release(waiting);
    }
    compute(&mut pool, &tokens, 0);
    let stats = pool.stats();
    assert_eq!(stats.prefix_cache_queries, 10);
    assert_eq!(stats.prefix_cache_hits, 4);
}

#[test]
fn max_sequence_len_is_limited_by_full_attention_and_small_window_groups() {
    let longest = |groups: &[_]| pool(4, groups).max_sequence_len();
    assert_eq!(longest(&[(GroupKind::Full, 5), (window(4), 9)]), 20);
    assert_eq!(longest(&[(window(5), 3)]), usize::MAX);
    assert_eq!(longest(&[(window(6), 2)]), 8);
}

#[test]
fn can_fit_after_releasing_counts_blocks_of_released_sequences() {
    let mut pool = pool(2, &[(GroupKind::Full, 6), (window(3), 5)]);
    let (mut one, mut two) = (
        pool.sequence_without_prefix_caching(),
        pool.sequence_without_prefix_caching(),
    );
    pool.allocate_slots(&mut one, 4).unwrap();
    pool.allocate_slots(&mut two, 6).unwrap();
    let new = pool.sequence_without_prefix_caching();
    assert!(!pool.can_fit(&new, 2));
    assert!(pool.can_fit_after_releasing(&new, 6, &[&one]));
    assert!(!pool.can_fit_after_releasing(&new, 8, &[&one]));
    assert!(pool.can_fit_after_releasing(&new, 12, &[&one, &two]));
    assert!(!pool.can_fit_after_releasing(&new, 14, &[&one, &two]));
    for cache in [one, two, new] {
        pool.release(cache);
    }
}

#[test]
fn sequence_without_prefix_caching_neither_hits_nor_caches() {
    let mut pool = pool(2, &[(GroupKind::Full, 8), (window(2), 8)]);
    let tokens = [1, 2, 3, 4, 5];
    let mut cache = pool.sequence_without_prefix_caching();
    pool.allocate_slots(&mut cache, 5).unwrap();
    pool.cache_full_blocks(&mut cache, &tokens, 5);
    assert_eq!(cache.hashed_tokens(), 0);
    assert_eq!(cache.table(1).null_blocks(), 2);
    pool.release(cache);
    assert_eq!(pool.stats().groups[0].cached, 0);
    assert_eq!(compute(&mut pool, &tokens, 0), 0);
    assert_eq!(pool.stats().prefix_cache_queries, 5);
}

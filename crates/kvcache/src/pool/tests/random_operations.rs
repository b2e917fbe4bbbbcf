//! Random operations on a pool with simulated memory: every slot records the exact prefix it was written for, and every
//! position that a layer attends to must contain the sequence's own prefix. Wrong sharing, premature reuse and freed
//! window blocks show up as a wrong read.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// What a slot was written for: the cache salt and all tokens up to its position.
type Content = (u64, Vec<u32>);

struct Live {
    cache: SequenceCache,
    tokens: Vec<u32>,
    salt: u64,
    computed: usize,
}

struct Simulation {
    pool: BlockPool,
    memory: Vec<Vec<Option<Content>>>,
    live: Vec<Live>,
}

#[derive(Debug, Clone)]
enum Operation {
    Start { tokens: Vec<u32>, salt: u64 },
    Compute { which: usize, count: usize },
    ComputeDrafts { which: usize, drafts: usize },
    Extend { which: usize, tokens: Vec<u32> },
    Rollback { which: usize, back: usize },
    Release { which: usize },
}

fn tokens(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u32>> {
    // Few token values, so that prefixes often coincide.
    prop::collection::vec(0..2u32, len)
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::{Compute, ComputeDrafts, Extend, Release, Rollback, Start};
    let which = 0..8usize;
    prop_oneof![
        3 => (tokens(0..20), 0..2u64).prop_map(|(tokens, salt)| Start { tokens, salt }),
        8 => (which.clone(), 1..12usize).prop_map(|(which, count)| Compute { which, count }),
        2 => (which.clone(), 1..6usize)
            .prop_map(|(which, drafts)| ComputeDrafts { which, drafts }),
        4 => (which.clone(), tokens(1..5)).prop_map(|(which, tokens)| Extend { which, tokens }),
        1 => (which.clone(), 1..12usize).prop_map(|(which, back)| Rollback { which, back }),
        2 => which.prop_map(|which| Release { which }),
    ]
}

fn groups() -> impl Strategy<Value = Vec<(GroupKind, usize)>> {
    let kind = prop_oneof![
        Just(GroupKind::Full),
        (1..12usize).prop_map(|window| GroupKind::SlidingWindow { window }),
    ];
    prop::collection::vec((kind, 1..24usize), 1..4)
}

impl Simulation {
    fn new(block_size: usize, groups: &[(GroupKind, usize)]) -> Self {
        let slots = groups.iter().map(|&(_, blocks)| blocks * block_size);
        Self {
            memory: slots.map(|slots| vec![None; slots]).collect(),
            pool: pool(block_size, groups),
            live: Vec::new(),
        }
    }

    fn apply(&mut self, operation: Operation) {
        let chosen = match &operation {
            Operation::Start { .. } => 0,
            Operation::Compute { which, .. }
            | Operation::ComputeDrafts { which, .. }
            | Operation::Extend { which, .. }
            | Operation::Rollback { which, .. }
            | Operation::Release { which } => {
                if self.live.is_empty() {
                    return;
                }
                which % self.live.len()
            }
        };
        match operation {
            Operation::Start { tokens, salt } => self.start(tokens, salt),
            Operation::Compute { count, .. } => {
                let live = &self.live[chosen];
                self.compute(chosen, count.min(live.tokens.len() - live.computed));
            }
            Operation::ComputeDrafts { drafts, .. } => self.compute_drafts(chosen, drafts),
            Operation::Extend { tokens, .. } => self.live[chosen].tokens.extend(tokens),
            Operation::Rollback { back, .. } => self.rollback(chosen, back),
            Operation::Release { .. } => {
                let live = self.live.swap_remove(chosen);
                self.pool.release(live.cache);
            }
        }
    }

    fn start(&mut self, tokens: Vec<u32>, salt: u64) {
        let expected = self.longest_hit(&tokens, salt);
        let cache = self.pool.match_prefix(&tokens, salt);
        let computed = cache.cached_tokens();
        assert_eq!(computed, expected);
        assert!(computed == 0 || computed < tokens.len());
        for group in 0..cache.groups() {
            let first = self.pool.kind(group).first_attended_position(computed);
            let table = cache.table(group);
            assert_eq!(table.blocks().len() * self.pool.block_size(), computed);
            assert_eq!(table.null_blocks(), first / self.pool.block_size());
        }
        self.live.push(Live {
            cache,
            tokens,
            salt,
            computed,
        });
    }

    /// The expected hit length: tries every prefix length against the cache, longest first.
    fn longest_hit(&self, tokens: &[u32], salt: u64) -> usize {
        let pool = &self.pool;
        let size = pool.block_size;
        let mut hashes = vec![pool.hasher.root(salt)];
        for block in tokens.chunks_exact(size) {
            hashes.push(pool.hasher.extend(hashes[hashes.len() - 1], block));
        }
        let cached = |group: &Group, i: usize| {
            let block = &tokens[i * size..(i + 1) * size];
            group.get_cached_block(hashes[i + 1], block).is_some()
        };
        let resumes = |&blocks: &usize| {
            pool.groups.iter().all(|group| {
                let first = group.kind().first_attended_position(blocks * size) / size;
                (first..blocks).all(|i| cached(group, i))
            })
        };
        let longest = tokens.len().saturating_sub(1) / size;
        (0..=longest).rev().find(resumes).unwrap_or(0) * size
    }

    /// Reads and writes memory as a forward pass over `start..tokens.len()` would.
    fn forward(&mut self, chosen: usize, tokens: &[u32], start: usize) {
        let Live { cache, salt, .. } = &self.live[chosen];
        for position in start..tokens.len() {
            for (group, memory) in self.memory.iter_mut().enumerate() {
                let own = cache.slot(group, position).expect("a slot to write to");
                memory[own] = Some((*salt, tokens[..=position].to_vec()));
                for read in self.pool.kind(group).first_attended_position(position)..position {
                    let slot = cache.slot(group, read).expect("position has a slot");
                    let expected = (*salt, tokens[..=read].to_vec());
                    assert_eq!(memory[slot].as_ref(), Some(&expected));
                }
            }
        }
    }

    fn grow(&mut self, chosen: usize, len: usize) -> bool {
        let cache = &mut self.live[chosen].cache;
        let before = cache.capacity();
        let could = self.pool.can_allocate(cache, len);
        assert_eq!(
            could,
            len <= self.pool.max_allocatable_len(cache).max(before)
        );
        let grown = self.pool.allocate_slots(cache, len);
        assert_eq!(grown.is_ok(), could);
        if could {
            for group in 0..cache.groups() {
                let unused = cache.internal_fragmentation(group, len.max(before));
                assert!(unused < self.pool.block_size());
            }
        }
        if let Err(shortfall) = grown {
            assert!(shortfall.needed > shortfall.free);
            assert_eq!(shortfall.free, self.pool.free_blocks(shortfall.group));
            assert_eq!(cache.capacity(), before);
        }
        could
    }

    fn compute(&mut self, chosen: usize, count: usize) {
        let start = self.live[chosen].computed;
        let end = start + count;
        if !self.grow(chosen, end) {
            return;
        }
        let tokens = self.live[chosen].tokens[..end].to_vec();
        self.forward(chosen, &tokens, start);
        let live = &mut self.live[chosen];
        live.computed = end;
        self.pool
            .cache_full_blocks(&mut live.cache, &live.tokens, end);
    }

    /// Speculative decoding in which every draft is rejected.
    fn compute_drafts(&mut self, chosen: usize, drafts: usize) {
        let live = &self.live[chosen];
        let (start, len) = (live.computed, live.tokens.len());
        if !self.grow(chosen, len + drafts) {
            return;
        }
        let mut tokens = self.live[chosen].tokens.clone();
        tokens.resize(len + drafts, 7);
        self.forward(chosen, &tokens, start);
        let live = &mut self.live[chosen];
        live.computed = len;
        self.pool
            .cache_full_blocks(&mut live.cache, &live.tokens, len);
        assert_eq!(self.pool.truncate(&mut live.cache, len), len);
        assert!(live.cache.capacity() - len < self.pool.block_size());
    }

    fn rollback(&mut self, chosen: usize, back: usize) {
        let live = &mut self.live[chosen];
        let len = live.computed.saturating_sub(back);
        let kept = self.pool.truncate(&mut live.cache, len);
        assert!(kept <= len);
        assert!(live.cache.cached_tokens() <= kept);
        assert!(live.cache.hashed_tokens() <= kept);
        assert!(live.cache.capacity() < kept + self.pool.block_size());
        live.computed = kept;
        // Other tokens may follow from here.
        live.tokens.truncate(len);
    }

    fn check(&self) {
        for (at, group) in self.pool.groups.iter().enumerate() {
            let mut references = HashMap::new();
            for live in &self.live {
                let fragmentation = live.cache.internal_fragmentation(at, live.computed);
                assert!(fragmentation < self.pool.block_size(), "{fragmentation}");
                for &block in live.cache.table(at).blocks() {
                    if block != BlockId::NULL {
                        *references.entry(block).or_insert(0) += 1;
                    }
                }
            }
            group.check(&references);
            let stats = group.stats();
            assert_eq!(stats.used, references.len());
            assert_eq!(stats.blocks, stats.used + stats.cached + stats.free);
            assert_eq!(self.pool.free_blocks(at), stats.cached + stats.free);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn attended_positions_contain_the_sequences_own_prefix(
        block_size in 1..5usize,
        groups in groups(),
        operations in prop::collection::vec(operation(), 1..120),
    ) {
        let mut simulation = Simulation::new(block_size, &groups);
        for operation in operations {
            simulation.apply(operation);
            simulation.check();
        }
        while let Some(live) = simulation.live.pop() {
            simulation.pool.release(live.cache);
        }
        simulation.check();
        for (group, &(_, blocks)) in groups.iter().enumerate() {
            prop_assert_eq!(simulation.pool.free_blocks(group), blocks);
        }
    }

    #[test]
    fn can_fit_and_max_sequence_len_predict_allocation(
        block_size in 1..5usize,
        groups in groups(),
        len in 1..80usize,
    ) {
        let mut pool = pool(block_size, &groups);
        let tokens: Vec<u32> = (0..len as u32).collect();
        let mut cache = pool.match_prefix(&tokens, 0);
        let fits = len <= pool.max_sequence_len();
        prop_assert_eq!(pool.can_fit(&cache, len), fits);
        let mut computed = 0;
        while computed < len && pool.allocate_slots(&mut cache, computed + 1).is_ok() {
            computed += 1;
            pool.cache_full_blocks(&mut cache, &tokens, computed);
        }
        prop_assert_eq!(computed == len, fits);
        pool.release(cache);
    }
}

//! The pool: all groups together, one sequence at a time.

use std::{error::Error, fmt};

use crate::{
    BlockId, BlockTable, ConfigError, GroupKind, PoolConfig, PoolStats, SequenceCache,
    block_hash::{BlockHash, BlockHasher},
    group::Group,
};

/// Growing a sequence needs more blocks than are free. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfBlocks {
    /// The first group that lacks blocks.
    pub group: usize,
    /// Blocks it would have needed.
    pub needed: usize,
    /// Blocks it has.
    pub free: usize,
}

impl fmt::Display for OutOfBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            needed,
            free,
        } = self;
        write!(
            f,
            "cache group {group} needs {needed} more blocks but {free} are free; release a sequence first"
        )
    }
}

impl Error for OutOfBlocks {}

/// All cache blocks of a model, and the index that finds the prefixes they hold.
#[derive(Debug)]
pub struct BlockPool {
    block_size: usize,
    groups: Vec<Group>,
    hasher: BlockHasher,
    prefix_cache_queries: u64,
    prefix_cache_hits: u64,
}

impl BlockPool {
    /// A pool whose blocks are all free.
    ///
    /// # Errors
    /// If a size is zero or too large.
    pub fn new(config: PoolConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let block_size = config.block_size;
        let groups = config.groups.iter();
        Ok(Self {
            block_size,
            groups: groups.map(|group| Group::new(group, block_size)).collect(),
            hasher: BlockHasher::default(),
            prefix_cache_queries: 0,
            prefix_cache_hits: 0,
        })
    }

    /// Token slots per block.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The kind of one group.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn kind(&self, group: usize) -> GroupKind {
        self.groups[group].kind()
    }

    /// Blocks of a group that could be handed out now, those that are still findable included.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn free_blocks(&self, group: usize) -> usize {
        self.groups[group].free_blocks()
    }

    /// The longest sequence that the whole pool could hold if it held nothing else, computed in
    /// steps as small as one token. `usize::MAX` if every group has a sliding window that fits.
    pub fn max_sequence_len(&self) -> usize {
        let limit = |group: &Group| {
            let blocks = group.blocks();
            match group
                .kind()
                .max_blocks_per_sequence(usize::MAX / 2, 1, self.block_size)
            {
                needed if needed <= blocks => usize::MAX,
                _ => blocks * self.block_size,
            }
        };
        self.groups.iter().map(limit).min().unwrap_or(0)
    }

    /// A cache for a sequence that takes no part in prefix reuse: it finds nothing, and nothing it
    /// computes can be found.
    pub fn sequence_without_prefix_caching(&self) -> SequenceCache {
        SequenceCache {
            prefix_caching: false,
            ..self.empty(0)
        }
    }

    fn empty(&self, salt: u64) -> SequenceCache {
        SequenceCache {
            block_size: self.block_size,
            tables: self.groups.iter().map(|_| BlockTable::default()).collect(),
            cached_tokens: 0,
            prefix_caching: true,
            root: self.hasher.root(salt),
            block_hashes: Vec::new(),
            unrecorded_query_tokens: None,
        }
    }

    /// Finds the longest prefix of `tokens` that *every* group can resume from, and references
    /// its blocks.
    ///
    /// `salt` keeps prefixes apart whose tokens are the same but whose keys and values are not:
    /// another adapter, another image behind the same placeholder tokens.
    ///
    /// [`SequenceCache::cached_tokens`] is a multiple of the block size and less than
    /// `tokens.len()`: at least one token is left to compute, because its output is wanted. A
    /// sliding window group holds only the blocks that the next token reads.
    pub fn match_prefix(&mut self, tokens: &[u32], salt: u64) -> SequenceCache {
        let mut cache = self.empty(salt);
        cache.unrecorded_query_tokens = Some(tokens.len());
        let longest = tokens.len().saturating_sub(1) / self.block_size;
        let blocks: Vec<&[u32]> = tokens.chunks_exact(self.block_size).take(longest).collect();
        cache.block_hashes = self.longest_cached_prefix(cache.root, &blocks);

        let resume = cache.block_hashes.len();
        cache.cached_tokens = resume * self.block_size;
        for (group, table) in self.groups.iter_mut().zip(&mut cache.tables) {
            let first = group.first_attended_block(cache.cached_tokens);
            let held = (first..resume)
                .filter_map(|i| group.get_cached_block(cache.block_hashes[i], blocks[i]));
            *table = BlockTable::from_prefix(first, held);
            for &block in &table.blocks()[first..] {
                group.acquire(block);
            }
        }
        cache
    }

    /// Keys of the blocks before the latest point that every group can resume from.
    fn longest_cached_prefix(&self, root: BlockHash, blocks: &[&[u32]]) -> Vec<BlockHash> {
        let mut hashes = Vec::new();
        let mut resume = 0;
        // Per group, the first block of the unbroken run of hits that ends at the current one.
        let mut run_starts = vec![0; self.groups.len()];
        let mut parent = root;
        for (i, block) in blocks.iter().enumerate() {
            parent = self.hasher.extend(parent, block);
            hashes.push(parent);
            let next_position = (i + 1) * self.block_size;
            let mut resumable = true;
            for (group, run_start) in self.groups.iter().zip(&mut run_starts) {
                if group.get_cached_block(parent, block).is_none() {
                    if group.kind() == GroupKind::Full {
                        hashes.truncate(resume);
                        return hashes;
                    }
                    *run_start = i + 1;
                }
                resumable &= *run_start <= group.first_attended_block(next_position);
            }
            if resumable {
                resume = i + 1;
            }
        }
        hashes.truncate(resume);
        hashes
    }

    /// Whether [`BlockPool::allocate_slots`] to `len` would succeed.
    pub fn can_allocate(&self, cache: &SequenceCache, len: usize) -> bool {
        self.shortfall(cache, len).is_none()
    }

    /// The longest `len` for which [`BlockPool::allocate_slots`] would succeed.
    pub fn max_allocatable_len(&self, cache: &SequenceCache) -> usize {
        let groups = self.groups.iter().zip(&cache.tables);
        groups
            .map(|(group, table)| (table.blocks().len() + group.free_blocks()) * self.block_size)
            .min()
            .unwrap_or(0)
    }

    /// Whether the free blocks suffice to bring the sequence to `len` tokens, if it is computed
    /// in steps small enough for its sliding window groups to free blocks on the way.
    pub fn can_fit(&self, cache: &SequenceCache, len: usize) -> bool {
        self.can_fit_after_releasing(cache, len, &[])
    }

    /// As [`BlockPool::can_fit`], if `others` were released first. A block that they share with
    /// each other or with a sequence that stays counts as if it came free, so that the answer may
    /// be yes where it should be no.
    pub fn can_fit_after_releasing(
        &self,
        cache: &SequenceCache,
        len: usize,
        others: &[&SequenceCache],
    ) -> bool {
        let mut groups = self.groups.iter().zip(&cache.tables).enumerate();
        groups.all(|(at, (group, table))| {
            let most = group
                .kind()
                .max_blocks_per_sequence(len, 1, self.block_size);
            let released: usize = others
                .iter()
                .map(|other| other.tables[at].allocated_blocks())
                .sum();
            most.saturating_sub(table.allocated_blocks()) <= group.free_blocks() + released
        })
    }

    /// Gives the sequence slots for `len` tokens in every group, or changes nothing. A sequence
    /// that already has them stays as it is.
    ///
    /// # Errors
    /// If a group has too few free blocks.
    pub fn allocate_slots(
        &mut self,
        cache: &mut SequenceCache,
        len: usize,
    ) -> Result<(), OutOfBlocks> {
        if let Some(shortfall) = self.shortfall(cache, len) {
            return Err(shortfall);
        }
        let blocks = len.div_ceil(self.block_size);
        for (group, table) in self.groups.iter_mut().zip(&mut cache.tables) {
            let missing = blocks.saturating_sub(table.blocks().len());
            for block in (0..missing).map_while(|_| group.allocate()) {
                table.push(block);
            }
        }
        if let Some(tokens) = cache.unrecorded_query_tokens.take() {
            self.prefix_cache_queries += tokens as u64;
            self.prefix_cache_hits += cache.cached_tokens as u64;
        }
        Ok(())
    }

    /// Makes the full blocks among the first `computed` tokens prefix_caching, then frees what no
    /// sliding window will read again once position `computed` is next.
    ///
    /// `tokens` are the sequence's tokens from position 0; `computed` counts only tokens that are
    /// certain, not drafts that may be rejected. What was sealed before is not looked at again.
    pub fn cache_full_blocks(
        &mut self,
        cache: &mut SequenceCache,
        tokens: &[u32],
        computed: usize,
    ) {
        let computed = computed.min(tokens.len()).min(cache.capacity());
        let sealed = cache.block_hashes.len();
        let full = tokens[..computed].chunks_exact(self.block_size);
        let unsealed = full.enumerate().skip(sealed);
        for (i, block) in unsealed.take_while(|_| cache.prefix_caching) {
            let parent = cache.block_hashes.last().copied().unwrap_or(cache.root);
            let key = self.hasher.extend(parent, block);
            cache.block_hashes.push(key);
            for (group, table) in self.groups.iter_mut().zip(&cache.tables) {
                let id = table.blocks()[i];
                if id != BlockId::NULL {
                    group.cache_block(id, key, block);
                }
            }
        }
        for (group, table) in self.groups.iter_mut().zip(&mut cache.tables) {
            for block in table.free_before(group.first_attended_block(computed)) {
                group.release(block);
            }
        }
    }

    /// Takes back the slots after the first `len` tokens, so that other tokens can be computed
    /// there. Returns how many tokens at the start are still held: compute from that position.
    ///
    /// The result is `len` as long as `len` is not below the sealed tokens, which is the case for
    /// drafts that were rejected. Rolling back further may cost more: a block that another
    /// sequence shares cannot be written and is dropped whole, and a sliding window that has moved
    /// on cannot come back, which leaves 0.
    pub fn truncate(&mut self, cache: &mut SequenceCache, len: usize) -> usize {
        let mut kept = len.min(cache.capacity());
        self.shorten(cache, kept.div_ceil(self.block_size));
        let tail = kept / self.block_size;
        if tail < cache.block_hashes.len() {
            // The tail is a sealed block: it may stay only if nobody else reads it.
            let mut groups = self.groups.iter().zip(&cache.tables);
            let fixed = groups.any(|(group, table)| {
                let block = table.blocks().get(tail);
                block.is_some_and(|&block| group.is_read_only(block))
            });
            if fixed {
                kept = tail * self.block_size;
                self.shorten(cache, tail);
            }
            cache.block_hashes.truncate(tail);
            for (group, table) in self.groups.iter_mut().zip(&cache.tables) {
                if let Some(&block) = table.blocks().get(tail) {
                    group.evict(block);
                }
            }
        }
        let mut groups = self.groups.iter().zip(&cache.tables);
        if groups.any(|(group, table)| group.first_attended_block(kept) < table.null_blocks()) {
            kept = 0;
            self.shorten(cache, 0);
            cache.block_hashes.clear();
        }
        cache.cached_tokens = cache.cached_tokens.min(kept);
        kept
    }

    /// Takes a finished sequence's blocks back. The sealed ones stay findable until reused; of
    /// one sequence the end is reused before the beginning, which more prompts share.
    pub fn release(&mut self, mut cache: SequenceCache) {
        self.shorten(&mut cache, 0);
    }

    /// How the pool is used now.
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            groups: self.groups.iter().map(Group::stats).collect(),
            prefix_cache_queries: self.prefix_cache_queries,
            prefix_cache_hits: self.prefix_cache_hits,
        }
    }

    fn shorten(&mut self, cache: &mut SequenceCache, blocks: usize) {
        for (group, table) in self.groups.iter_mut().zip(&mut cache.tables) {
            for block in table.shorten(blocks) {
                group.release(block);
            }
        }
    }

    fn shortfall(&self, cache: &SequenceCache, len: usize) -> Option<OutOfBlocks> {
        let blocks = len.div_ceil(self.block_size);
        let mut groups = self.groups.iter().zip(&cache.tables).enumerate();
        groups.find_map(|(at, (group, table))| {
            let needed = blocks.saturating_sub(table.blocks().len());
            let free = group.free_blocks();
            (needed > free).then_some(OutOfBlocks {
                group: at,
                needed,
                free,
            })
        })
    }
}

#[cfg(test)]
mod tests;

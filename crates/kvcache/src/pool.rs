//! The block pool: allocation and prefix caching across all cache groups.

use std::{error::Error, fmt};

use crate::{
    BlockId, BlockTable, ConfigError, GroupKind, PoolConfig, PoolStats, SequenceCache,
    block_hash::{BlockHash, BlockHasher},
    group::Group,
};

/// A sequence needs more blocks than are free. The pool and the sequence are unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfBlocks {
    /// The first group without enough free blocks.
    pub group: usize,
    /// Additional blocks that the sequence needs.
    pub needed: usize,
    /// Blocks that are free.
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
            "cache group {group} needs {needed} more blocks but only {free} are free; release a sequence first"
        )
    }
}

impl Error for OutOfBlocks {}

/// All cache blocks of a model and the prefix cache over them.
#[derive(Debug)]
pub struct BlockPool {
    block_size: usize,
    groups: Vec<Group>,
    hasher: BlockHasher,
    prefix_cache_queries: u64,
    prefix_cache_hits: u64,
}

impl BlockPool {
    /// Creates a pool in which all blocks are free.
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

    /// Blocks of a group that can be allocated, including cached blocks without references.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn free_blocks(&self, group: usize) -> usize {
        self.groups[group].free_blocks()
    }

    /// Length of the longest sequence that fits in the empty pool when computed one token at a time. `usize::MAX` if
    /// every group is a sliding window that fits.
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

    /// An empty cache for a sequence that neither reuses cached prefixes nor adds blocks to the prefix cache.
    pub fn sequence_without_prefix_caching(&self) -> SequenceCache {
        SequenceCache {
            prefix_caching: false,
            ..self.empty(0)
        }
    }

    fn empty(&self, cache_salt: u64) -> SequenceCache {
        SequenceCache {
            block_size: self.block_size,
            tables: self.groups.iter().map(|_| BlockTable::default()).collect(),
            cached_tokens: 0,
            prefix_caching: true,
            root: self.hasher.root(cache_salt),
            block_hashes: Vec::new(),
            unrecorded_query_tokens: None,
        }
    }

    /// Finds the longest cached prefix of `tokens` that is available in *every* group, and references its blocks.
    ///
    /// `cache_salt` separates prefixes that have equal tokens but must not share keys and values, for example because
    /// they use different adapters or belong to different users.
    ///
    /// [`SequenceCache::cached_tokens`] is a multiple of the block size and less than `tokens.len()`: at least one
    /// token must be computed to get logits. A sliding-window group holds only the blocks that the next token attends
    /// to.
    pub fn match_prefix(&mut self, tokens: &[u32], cache_salt: u64) -> SequenceCache {
        let mut cache = self.empty(cache_salt);
        cache.unrecorded_query_tokens = Some(tokens.len());
        let longest = tokens.len().saturating_sub(1) / self.block_size;
        let blocks: Vec<&[u32]> = tokens.chunks_exact(self.block_size).take(longest).collect();
        cache.block_hashes = self.longest_cached_prefix(cache.root, &blocks);

        let resume = cache.block_hashes.len();
        cache.cached_tokens = resume * self.block_size;
        for (group, table) in self.groups.iter_mut().zip(&mut cache.tables) {
            let first = group.first_attended_block(cache.cached_tokens);
            let cached = (first..resume)
                .filter_map(|i| group.get_cached_block(cache.block_hashes[i], blocks[i]));
            *table = BlockTable::from_prefix(first, cached);
            for &block in &table.blocks()[first..] {
                group.acquire(block);
            }
        }
        cache
    }

    /// Hashes of the blocks of the longest prefix that every group can resume from.
    fn longest_cached_prefix(&self, root: BlockHash, blocks: &[&[u32]]) -> Vec<BlockHash> {
        let mut hashes = Vec::new();
        let mut resume = 0;
        // Per group, the first block of the run of consecutive hits that ends at the current block.
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

    /// Whether [`BlockPool::allocate_slots`] for `len` tokens would succeed.
    pub fn can_allocate(&self, cache: &SequenceCache, len: usize) -> bool {
        self.shortfall(cache, len).is_none()
    }

    /// The largest `len` for which [`BlockPool::allocate_slots`] would succeed.
    pub fn max_allocatable_len(&self, cache: &SequenceCache) -> usize {
        let groups = self.groups.iter().zip(&cache.tables);
        groups
            .map(|(group, table)| (table.blocks().len() + group.free_blocks()) * self.block_size)
            .min()
            .unwrap_or(0)
    }

    /// Whether the free blocks are enough to compute the sequence up to `len` tokens, in chunks small enough for its
    /// sliding-window groups to free blocks in between.
    pub fn can_fit(&self, cache: &SequenceCache, len: usize) -> bool {
        self.can_fit_after_releasing(cache, len, &[])
    }

    /// Like [`BlockPool::can_fit`], assuming that `others` are released first. Overestimates when `others` share blocks
    /// with each other or with the remaining sequences, because each shared block counts as freed.
    pub fn can_fit_after_releasing(
        &self,
        cache: &SequenceCache,
        len: usize,
        others: &[&SequenceCache],
    ) -> bool {
        let mut groups = self.groups.iter().zip(&cache.tables).enumerate();
        groups.all(|(at, (group, table))| {
            let max_blocks = group
                .kind()
                .max_blocks_per_sequence(len, 1, self.block_size);
            let released: usize = others
                .iter()
                .map(|other| other.tables[at].allocated_blocks())
                .sum();
            max_blocks.saturating_sub(table.allocated_blocks()) <= group.free_blocks() + released
        })
    }

    /// Allocates slots for `len` tokens in every group. Does nothing if the sequence already has them.
    ///
    /// # Errors
    /// [`OutOfBlocks`] if a group has too few free blocks. Nothing is allocated then.
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

    /// Adds the full blocks among the first `computed` tokens to the prefix cache, then frees the blocks that the
    /// sliding windows have passed, given that position `computed` is next.
    ///
    /// `tokens` are the sequence's tokens from position 0. `computed` must not include draft tokens that may be
    /// rejected. Blocks that were cached by an earlier call are skipped.
    pub fn cache_full_blocks(
        &mut self,
        cache: &mut SequenceCache,
        tokens: &[u32],
        computed: usize,
    ) {
        let computed = computed.min(tokens.len()).min(cache.capacity());
        let cached = cache.block_hashes.len();
        let full = tokens[..computed].chunks_exact(self.block_size);
        let uncached = full.enumerate().skip(cached);
        for (i, block) in uncached.take_while(|_| cache.prefix_caching) {
            let parent = cache.block_hashes.last().copied().unwrap_or(cache.root);
            let hash = self.hasher.extend(parent, block);
            cache.block_hashes.push(hash);
            for (group, table) in self.groups.iter_mut().zip(&cache.tables) {
                let id = table.blocks()[i];
                if id != BlockId::NULL {
                    group.cache_block(id, hash, block);
                }
            }
        }
        for (group, table) in self.groups.iter_mut().zip(&mut cache.tables) {
            for block in table.free_before(group.first_attended_block(computed)) {
                group.release(block);
            }
        }
    }

    /// Frees the slots after the first `len` tokens, so that other tokens can be computed there. Returns the number of
    /// leading tokens that remain, from which computation must resume.
    ///
    /// The result is `len` unless `len` is less than [`SequenceCache::hashed_tokens`], so rejected drafts cost nothing.
    /// Truncating further may drop more: a block that is shared with another sequence is dropped as a whole, and a
    /// sliding window that has already freed the needed blocks leaves 0.
    pub fn truncate(&mut self, cache: &mut SequenceCache, len: usize) -> usize {
        let mut kept = len.min(cache.capacity());
        self.truncate_tables(cache, kept.div_ceil(self.block_size));
        let tail = kept / self.block_size;
        if tail < cache.block_hashes.len() {
            // The tail is a cached block: it may be kept for writing only if no other sequence shares it.
            let mut groups = self.groups.iter().zip(&cache.tables);
            let read_only = groups.any(|(group, table)| {
                let block = table.blocks().get(tail);
                block.is_some_and(|&block| group.is_read_only(block))
            });
            if read_only {
                kept = tail * self.block_size;
                self.truncate_tables(cache, tail);
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
            self.truncate_tables(cache, 0);
            cache.block_hashes.clear();
        }
        cache.cached_tokens = cache.cached_tokens.min(kept);
        kept
    }

    /// Frees all blocks of a sequence. Cached blocks stay in the prefix cache until they are reused. The last blocks of
    /// the sequence are reused first, because other prompts are more likely to share the first ones.
    pub fn release(&mut self, mut cache: SequenceCache) {
        self.truncate_tables(&mut cache, 0);
    }

    /// Current usage and counters.
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            groups: self.groups.iter().map(Group::stats).collect(),
            prefix_cache_queries: self.prefix_cache_queries,
            prefix_cache_hits: self.prefix_cache_hits,
        }
    }

    fn truncate_tables(&mut self, cache: &mut SequenceCache, blocks: usize) {
        for (group, table) in self.groups.iter_mut().zip(&mut cache.tables) {
            for block in table.truncate(blocks) {
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

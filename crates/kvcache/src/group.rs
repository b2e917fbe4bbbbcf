//! The blocks of one cache group: reference counts, free list and prefix cache.

use std::collections::{HashMap, hash_map::Entry};

use crate::{
    BlockId, GroupConfig, GroupKind, GroupStats, block_hash::BlockHash, free_list::FreeList,
};

#[derive(Debug, Clone, Copy, Default)]
struct Block {
    references: u32,
    /// Set while the block is in the prefix cache.
    hash: Option<BlockHash>,
}

#[derive(Debug)]
pub(crate) struct Group {
    kind: GroupKind,
    block_size: usize,
    blocks: Vec<Block>,
    /// Token ids of cached blocks, `block_size` per block. Compared on every hit, so a hash collision is a miss.
    tokens: Vec<u32>,
    cached_blocks: HashMap<BlockHash, BlockId>,
    free: FreeList,
    /// Number of blocks that are both free and in the prefix cache.
    num_cached_free: usize,
}

impl Group {
    pub(crate) fn new(config: &GroupConfig, block_size: usize) -> Self {
        Self {
            kind: config.kind,
            block_size,
            blocks: vec![Block::default(); config.blocks],
            tokens: vec![0; config.blocks * block_size],
            cached_blocks: HashMap::with_capacity(config.blocks),
            free: FreeList::full(config.blocks),
            num_cached_free: 0,
        }
    }

    pub(crate) fn kind(&self) -> GroupKind {
        self.kind
    }

    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    pub(crate) fn free_blocks(&self) -> usize {
        self.free.len()
    }

    /// First logical block that a token at `position` attends to.
    pub(crate) fn first_attended_block(&self, position: usize) -> usize {
        self.kind.first_attended_position(position) / self.block_size
    }

    /// The cached block of the prefix with this hash. `tokens` are the tokens in that block.
    pub(crate) fn get_cached_block(&self, hash: BlockHash, tokens: &[u32]) -> Option<BlockId> {
        let block = *self.cached_blocks.get(&hash)?;
        (self.tokens_of(block) == tokens).then_some(block)
    }

    /// Adds a reference to a cached block.
    pub(crate) fn acquire(&mut self, block: BlockId) {
        let entry = &mut self.blocks[block.index()];
        entry.references += 1;
        if entry.references == 1 {
            self.free.remove(block);
            self.num_cached_free -= 1;
        }
    }

    /// Takes the least recently used free block and evicts it from the prefix cache.
    pub(crate) fn allocate(&mut self) -> Option<BlockId> {
        let block = self.free.pop_front()?;
        if self.evict(block) {
            self.num_cached_free -= 1;
        }
        self.blocks[block.index()].references = 1;
        Some(block)
    }

    /// Drops a reference. A block without references becomes free.
    pub(crate) fn release(&mut self, block: BlockId) {
        let entry = &mut self.blocks[block.index()];
        entry.references -= 1;
        if entry.references > 0 {
            return;
        }
        if entry.hash.is_some() {
            self.num_cached_free += 1;
            self.free.push_back(block);
        } else {
            self.free.push_front(block);
        }
    }

    /// Whether a cached block must not be written: it is shared with another sequence, or it is the null block.
    pub(crate) fn is_read_only(&self, block: BlockId) -> bool {
        block == BlockId::NULL || self.blocks[block.index()].references > 1
    }

    /// Adds a full block to the prefix cache. If another block already has the same hash, that block stays the cached
    /// one.
    pub(crate) fn cache_block(&mut self, block: BlockId, hash: BlockHash, tokens: &[u32]) {
        if let Entry::Vacant(vacant) = self.cached_blocks.entry(hash) {
            vacant.insert(block);
            self.blocks[block.index()].hash = Some(hash);
            let start = block.index() * self.block_size;
            self.tokens[start..start + self.block_size].copy_from_slice(tokens);
        }
    }

    /// Removes a block from the prefix cache before it is overwritten. Returns whether it was cached.
    pub(crate) fn evict(&mut self, block: BlockId) -> bool {
        match self.blocks[block.index()].hash.take() {
            Some(hash) => self.cached_blocks.remove(&hash).is_some(),
            None => false,
        }
    }

    pub(crate) fn stats(&self) -> GroupStats {
        GroupStats {
            blocks: self.blocks.len(),
            used: self.blocks.len() - self.free.len(),
            cached: self.num_cached_free,
            free: self.free.len() - self.num_cached_free,
        }
    }

    fn tokens_of(&self, block: BlockId) -> &[u32] {
        let start = block.index() * self.block_size;
        &self.tokens[start..start + self.block_size]
    }

    /// Asserts that all counts match `references`, the block references in the tables of all live sequences.
    #[cfg(test)]
    pub(crate) fn check(&self, references: &HashMap<BlockId, u32>) {
        let free = self.free.blocks();
        let mut is_free = vec![false; self.blocks.len()];
        for block in &free {
            assert!(!is_free[block.index()], "{block:?} is free twice");
            is_free[block.index()] = true;
        }
        for (at, block) in self.blocks.iter().enumerate() {
            let id = BlockId(at as u32);
            let expected = references.get(&id).copied().unwrap_or(0);
            assert_eq!(block.references, expected, "references of {id:?}");
            assert_eq!(is_free[at], expected == 0, "{id:?} free");
            if let Some(hash) = block.hash {
                assert_eq!(self.cached_blocks.get(&hash), Some(&id));
            }
        }
        for (hash, block) in &self.cached_blocks {
            assert_eq!(self.blocks[block.index()].hash, Some(*hash));
        }
        let cached = free
            .iter()
            .filter(|block| self.blocks[block.index()].hash.is_some())
            .count();
        assert_eq!(self.num_cached_free, cached);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_hash::BlockHasher;

    #[test]
    fn hash_hit_with_different_tokens_is_a_miss() {
        let config = GroupConfig {
            kind: GroupKind::Full,
            blocks: 2,
        };
        let mut group = Group::new(&config, 2);
        let hash = BlockHasher::default().root(0);
        let block = group.allocate().unwrap();
        group.cache_block(block, hash, &[1, 2]);
        assert_eq!(group.get_cached_block(hash, &[1, 2]), Some(block));
        assert_eq!(group.get_cached_block(hash, &[1, 3]), None);
    }
}

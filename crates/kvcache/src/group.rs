//! The blocks of one cache group: who holds them, and which prefix they are.

use std::collections::{HashMap, hash_map::Entry};

use crate::{
    BlockId, GroupConfig, GroupKind, GroupStats, block_hash::BlockHash, free_list::FreeList,
};

#[derive(Debug, Clone, Copy, Default)]
struct Block {
    references: u32,
    /// Set while the index points at this block.
    key: Option<BlockHash>,
}

#[derive(Debug)]
pub(crate) struct Group {
    kind: GroupKind,
    block_size: usize,
    blocks: Vec<Block>,
    /// Token ids of indexed blocks, `block_size` per block, compared on every hit.
    tokens: Vec<u32>,
    cached_blocks: HashMap<BlockHash, BlockId>,
    free: FreeList,
    /// Blocks that are both free and indexed.
    cached: usize,
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
            cached: 0,
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

    /// First logical block that a token at `position` reads.
    pub(crate) fn first_attended_block(&self, position: usize) -> usize {
        self.kind.first_attended_position(position) / self.block_size
    }

    /// The block that holds this prefix's last `block_size` tokens.
    pub(crate) fn get_cached_block(&self, key: BlockHash, tokens: &[u32]) -> Option<BlockId> {
        let block = *self.cached_blocks.get(&key)?;
        (self.tokens_of(block) == tokens).then_some(block)
    }

    /// Takes a reference to a block that was just found.
    pub(crate) fn acquire(&mut self, block: BlockId) {
        let entry = &mut self.blocks[block.index()];
        entry.references += 1;
        if entry.references == 1 {
            self.free.remove(block);
            self.cached -= 1;
        }
    }

    /// A block of the caller's own, the least recently used; whatever it held is forgotten.
    pub(crate) fn allocate(&mut self) -> Option<BlockId> {
        let block = self.free.pop_front()?;
        if self.evict(block) {
            self.cached -= 1;
        }
        self.blocks[block.index()].references = 1;
        Some(block)
    }

    /// Gives a reference back.
    pub(crate) fn release(&mut self, block: BlockId) {
        let entry = &mut self.blocks[block.index()];
        entry.references -= 1;
        if entry.references > 0 {
            return;
        }
        if entry.key.is_some() {
            self.cached += 1;
            self.free.push_back(block);
        } else {
            self.free.push_front(block);
        }
    }

    /// Whether a sealed block cannot be written again: another sequence reads it, or it is gone.
    pub(crate) fn is_read_only(&self, block: BlockId) -> bool {
        block == BlockId::NULL || self.blocks[block.index()].references > 1
    }

    /// Makes a full block findable. If another block already holds the same prefix, that one
    /// stays the one that is found.
    pub(crate) fn cache_block(&mut self, block: BlockId, key: BlockHash, tokens: &[u32]) {
        if let Entry::Vacant(vacant) = self.cached_blocks.entry(key) {
            vacant.insert(block);
            self.blocks[block.index()].key = Some(key);
            let start = block.index() * self.block_size;
            self.tokens[start..start + self.block_size].copy_from_slice(tokens);
        }
    }

    /// Makes a block no longer prefix_caching, because it will be written. Says whether it was.
    pub(crate) fn evict(&mut self, block: BlockId) -> bool {
        match self.blocks[block.index()].key.take() {
            Some(key) => self.cached_blocks.remove(&key).is_some(),
            None => false,
        }
    }

    pub(crate) fn stats(&self) -> GroupStats {
        GroupStats {
            blocks: self.blocks.len(),
            used: self.blocks.len() - self.free.len(),
            cached: self.cached,
            free: self.free.len() - self.cached,
        }
    }

    fn tokens_of(&self, block: BlockId) -> &[u32] {
        let start = block.index() * self.block_size;
        &self.tokens[start..start + self.block_size]
    }

    /// Compares every count with what the tables of all live sequences say.
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
            if let Some(key) = block.key {
                assert_eq!(self.cached_blocks.get(&key), Some(&id));
            }
        }
        for (key, block) in &self.cached_blocks {
            assert_eq!(self.blocks[block.index()].key, Some(*key));
        }
        let cached = free
            .iter()
            .filter(|block| self.blocks[block.index()].key.is_some())
            .count();
        assert_eq!(self.cached, cached);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_hash::BlockHasher;

    #[test]
    fn a_key_alone_is_not_a_hit() {
        let config = GroupConfig {
            kind: GroupKind::Full,
            blocks: 2,
        };
        let mut group = Group::new(&config, 2);
        let key = BlockHasher::default().root(0);
        let block = group.allocate().unwrap();
        group.cache_block(block, key, &[1, 2]);
        assert_eq!(group.get_cached_block(key, &[1, 2]), Some(block));
        assert_eq!(group.get_cached_block(key, &[1, 3]), None);
    }
}

//! What a sequence holds.

use crate::block_hash::BlockHash;

/// Index of a block within its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct BlockId(pub u32);

impl BlockId {
    /// Stands in a table where the block is gone because every layer's window has passed it.
    pub const NULL: Self = Self(u32::MAX);

    /// The id as an array index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Maps the logical blocks of one sequence to blocks of one group.
#[derive(Debug, Default)]
pub struct BlockTable {
    blocks: Vec<BlockId>,
    /// Leading entries that are [`BlockId::NULL`]. Windows only move forward, so freed entries
    /// are never followed by held ones and then by freed ones again.
    null_blocks: usize,
}

impl BlockTable {
    pub(crate) fn from_prefix(
        null_blocks: usize,
        allocated: impl IntoIterator<Item = BlockId>,
    ) -> Self {
        let mut blocks = vec![BlockId::NULL; null_blocks];
        blocks.extend(allocated);
        Self {
            blocks,
            null_blocks,
        }
    }

    /// Entry `i` holds positions `i * block_size .. (i + 1) * block_size`, or is
    /// [`BlockId::NULL`].
    pub fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }

    /// Number of leading entries that are [`BlockId::NULL`].
    pub fn null_blocks(&self) -> usize {
        self.null_blocks
    }

    /// Number of entries that are not freed.
    pub fn allocated_blocks(&self) -> usize {
        self.blocks.len() - self.null_blocks
    }

    pub(crate) fn push(&mut self, block: BlockId) {
        self.blocks.push(block);
    }

    /// Marks the entries before logical block `first` as freed and returns what they held.
    pub(crate) fn free_before(&mut self, first: usize) -> Vec<BlockId> {
        let first = first.min(self.blocks.len());
        if first <= self.null_blocks {
            return Vec::new();
        }
        let freed = self.blocks[self.null_blocks..first].to_vec();
        self.blocks[self.null_blocks..first].fill(BlockId::NULL);
        self.null_blocks = first;
        freed
    }

    /// Shortens the table to `len` entries and returns the held ones that fell off, last first.
    pub(crate) fn shorten(&mut self, len: usize) -> Vec<BlockId> {
        let kept_held = self.null_blocks.max(len).min(self.blocks.len());
        let mut dropped = self.blocks.split_off(kept_held);
        dropped.reverse();
        self.blocks.truncate(len);
        self.null_blocks = self.null_blocks.min(self.blocks.len());
        dropped
    }
}

/// The cache of one sequence: a [`BlockTable`] per group.
///
/// It must go back through [`crate::BlockPool::release`]; dropping it loses its blocks to the
/// pool. It is not `Clone`, so that nothing can be released twice.
#[derive(Debug)]
#[must_use = "give the blocks back with BlockPool::release"]
pub struct SequenceCache {
    pub(crate) block_size: usize,
    pub(crate) tables: Vec<BlockTable>,
    pub(crate) cached_tokens: usize,
    /// Whether sealing enters blocks into the prefix index.
    pub(crate) prefix_caching: bool,
    pub(crate) root: BlockHash,
    /// Keys of the sealed blocks, first to last.
    pub(crate) block_hashes: Vec<BlockHash>,
    /// Length of the prompt looked up, until the lookup is counted.
    pub(crate) unrecorded_query_tokens: Option<usize>,
}

impl SequenceCache {
    /// Tokens that have slots.
    pub fn capacity(&self) -> usize {
        self.tables[0].blocks.len() * self.block_size
    }

    /// Tokens at the start whose keys and values were found in the pool.
    pub fn cached_tokens(&self) -> usize {
        self.cached_tokens
    }

    /// Tokens at the start that are in sealed blocks.
    pub fn hashed_tokens(&self) -> usize {
        self.block_hashes.len() * self.block_size
    }

    /// Slots of a group that are held and not among those of the first `tokens` tokens. After
    /// [`crate::BlockPool::allocate_slots`] to `tokens` this is at most `block_size - 1`.
    ///
    /// # Panics
    /// If the pool has no such group.
    pub fn internal_fragmentation(&self, group: usize, tokens: usize) -> usize {
        let table = &self.tables[group];
        let first_held = table.null_blocks() * self.block_size;
        self.capacity() - tokens.clamp(first_held, self.capacity())
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.tables.len()
    }

    /// The table of one group.
    ///
    /// # Panics
    /// If the pool has no such group.
    pub fn table(&self, group: usize) -> &BlockTable {
        &self.tables[group]
    }

    /// Where a position is stored in a group: `block * block_size + offset`. `None` if the
    /// position has no slot or its block is freed.
    ///
    /// # Panics
    /// If the pool has no such group.
    pub fn slot(&self, group: usize, position: usize) -> Option<usize> {
        let block = *self.tables[group].blocks.get(position / self.block_size)?;
        (block != BlockId::NULL)
            .then(|| block.index() * self.block_size + position % self.block_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<u32>) -> Vec<BlockId> {
        range.map(BlockId).collect()
    }

    #[test]
    fn freed_entries_lead_the_table() {
        let mut table = BlockTable::from_prefix(1, ids(10..14));
        assert_eq!(table.free_before(1), []);
        assert_eq!(table.free_before(3), ids(10..12));
        assert_eq!(table.null_blocks(), 3);
        assert_eq!(table.allocated_blocks(), 2);
        assert_eq!(table.blocks()[2], BlockId::NULL);
        assert_eq!(table.blocks()[3], BlockId(12));
    }

    #[test]
    fn unused_slots_are_held_and_behind_the_tokens() {
        let hasher = crate::block_hash::BlockHasher::default();
        let cache = SequenceCache {
            block_size: 4,
            tables: vec![
                BlockTable::from_prefix(0, ids(0..3)),
                BlockTable::from_prefix(2, ids(10..11)),
            ],
            cached_tokens: 0,
            prefix_caching: true,
            root: hasher.root(0),
            block_hashes: Vec::new(),
            unrecorded_query_tokens: None,
        };
        let unused = |tokens| {
            (
                cache.internal_fragmentation(0, tokens),
                cache.internal_fragmentation(1, tokens),
            )
        };
        assert_eq!(unused(12), (0, 0));
        assert_eq!(unused(9), (3, 3));
        assert_eq!(unused(2), (10, 4));
        assert_eq!(unused(20), (0, 0));
    }

    #[test]
    fn shortening_returns_held_blocks_last_first() {
        let mut table = BlockTable::from_prefix(2, ids(10..13));
        assert_eq!(table.shorten(4), [BlockId(12)]);
        assert_eq!(table.shorten(1), [BlockId(11), BlockId(10)]);
        assert_eq!(table.blocks(), [BlockId::NULL]);
        assert_eq!(table.null_blocks(), 1);
        assert_eq!(table.shorten(5), []);
    }
}

//! What a sequence holds.

use crate::prefix::PrefixKey;

/// Index of a block within its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct BlockId(pub u32);

impl BlockId {
    /// Stands in a table where the block is gone because every layer's window has passed it.
    pub const FREED: Self = Self(u32::MAX);

    /// The id as an array index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Maps the logical blocks of one sequence to blocks of one group.
#[derive(Debug, Default)]
pub struct BlockTable {
    blocks: Vec<BlockId>,
    /// Leading entries that are [`BlockId::FREED`]. Windows only move forward, so freed entries
    /// are never followed by held ones and then by freed ones again.
    freed: usize,
}

impl BlockTable {
    pub(crate) fn from_prefix(freed: usize, held: impl IntoIterator<Item = BlockId>) -> Self {
        let mut blocks = vec![BlockId::FREED; freed];
        blocks.extend(held);
        Self { blocks, freed }
    }

    /// Entry `i` holds positions `i * block_size .. (i + 1) * block_size`, or is
    /// [`BlockId::FREED`].
    pub fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }

    /// Number of leading entries that are [`BlockId::FREED`].
    pub fn freed(&self) -> usize {
        self.freed
    }

    /// Number of entries that are not freed.
    pub fn held(&self) -> usize {
        self.blocks.len() - self.freed
    }

    pub(crate) fn push(&mut self, block: BlockId) {
        self.blocks.push(block);
    }

    /// Marks the entries before logical block `first` as freed and returns what they held.
    pub(crate) fn free_before(&mut self, first: usize) -> Vec<BlockId> {
        let first = first.min(self.blocks.len());
        if first <= self.freed {
            return Vec::new();
        }
        let behind = self.blocks[self.freed..first].to_vec();
        self.blocks[self.freed..first].fill(BlockId::FREED);
        self.freed = first;
        behind
    }

    /// Shortens the table to `len` entries and returns the held ones that fell off, last first.
    pub(crate) fn shorten(&mut self, len: usize) -> Vec<BlockId> {
        let kept_held = self.freed.max(len).min(self.blocks.len());
        let mut dropped = self.blocks.split_off(kept_held);
        dropped.reverse();
        self.blocks.truncate(len);
        self.freed = self.freed.min(self.blocks.len());
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
    pub(crate) findable: bool,
    pub(crate) root: PrefixKey,
    /// Keys of the sealed blocks, first to last.
    pub(crate) keys: Vec<PrefixKey>,
    /// Length of the prompt looked up, until the lookup is counted.
    pub(crate) uncounted_lookup: Option<usize>,
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
    pub fn sealed_tokens(&self) -> usize {
        self.keys.len() * self.block_size
    }

    /// Slots of a group that are held and not among those of the first `tokens` tokens. After
    /// [`crate::BlockPool::grow`] to `tokens` this is at most `block_size - 1`.
    ///
    /// # Panics
    /// If the pool has no such group.
    pub fn unused_slots(&self, group: usize, tokens: usize) -> usize {
        let table = &self.tables[group];
        let first_held = table.freed() * self.block_size;
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
        (block != BlockId::FREED)
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
        assert_eq!(table.freed(), 3);
        assert_eq!(table.held(), 2);
        assert_eq!(table.blocks()[2], BlockId::FREED);
        assert_eq!(table.blocks()[3], BlockId(12));
    }

    #[test]
    fn unused_slots_are_held_and_behind_the_tokens() {
        let hasher = crate::prefix::PrefixHasher::default();
        let cache = SequenceCache {
            block_size: 4,
            tables: vec![
                BlockTable::from_prefix(0, ids(0..3)),
                BlockTable::from_prefix(2, ids(10..11)),
            ],
            cached_tokens: 0,
            findable: true,
            root: hasher.root(0),
            keys: Vec::new(),
            uncounted_lookup: None,
        };
        let unused = |tokens| (cache.unused_slots(0, tokens), cache.unused_slots(1, tokens));
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
        assert_eq!(table.blocks(), [BlockId::FREED]);
        assert_eq!(table.freed(), 1);
        assert_eq!(table.shorten(5), []);
    }
}

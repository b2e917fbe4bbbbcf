//! Block tables of a sequence.

use crate::block_hash::BlockHash;

/// Index of a block within its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct BlockId(pub u32);

impl BlockId {
    /// The null block: a placeholder for a block that was freed because the sliding window has passed it.
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
    /// Number of leading entries that are [`BlockId::NULL`]. Windows only move forward, so null entries occur only at
    /// the start.
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

    /// Entry `i` is the block of positions `i * block_size .. (i + 1) * block_size`, or [`BlockId::NULL`].
    pub fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }

    /// Number of leading entries that are [`BlockId::NULL`].
    pub fn null_blocks(&self) -> usize {
        self.null_blocks
    }

    /// Number of entries that are not null.
    pub fn allocated_blocks(&self) -> usize {
        self.blocks.len() - self.null_blocks
    }

    pub(crate) fn push(&mut self, block: BlockId) {
        self.blocks.push(block);
    }

    /// Replaces the entries before logical block `first` with the null block and returns the removed blocks.
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

    /// Truncates the table to `len` entries and returns the removed blocks, last first.
    pub(crate) fn truncate(&mut self, len: usize) -> Vec<BlockId> {
        let kept = self.null_blocks.max(len).min(self.blocks.len());
        let mut removed = self.blocks.split_off(kept);
        removed.reverse();
        self.blocks.truncate(len);
        self.null_blocks = self.null_blocks.min(self.blocks.len());
        removed
    }
}

/// The cache of one sequence: a [`BlockTable`] per group.
///
/// Must be returned with [`crate::BlockPool::release`]; dropping it leaks its blocks. Not `Clone`, so that blocks
/// cannot be released twice.
#[derive(Debug)]
#[must_use = "return the blocks with BlockPool::release"]
pub struct SequenceCache {
    pub(crate) block_size: usize,
    pub(crate) tables: Vec<BlockTable>,
    pub(crate) cached_tokens: usize,
    /// Whether full blocks of this sequence are added to the prefix cache.
    pub(crate) prefix_caching: bool,
    pub(crate) root: BlockHash,
    /// Hashes of the leading full blocks that were offered to the prefix cache.
    pub(crate) block_hashes: Vec<BlockHash>,
    /// Number of tokens looked up by `match_prefix`, until they are added to the statistics.
    pub(crate) unrecorded_query_tokens: Option<usize>,
}

impl SequenceCache {
    /// Number of tokens that have slots.
    pub fn capacity(&self) -> usize {
        self.tables[0].blocks.len() * self.block_size
    }

    /// Number of leading tokens found in the prefix cache.
    pub fn cached_tokens(&self) -> usize {
        self.cached_tokens
    }

    /// Number of leading tokens in full blocks that have a hash.
    pub fn hashed_tokens(&self) -> usize {
        self.block_hashes.len() * self.block_size
    }

    /// Allocated slots of a group that the first `tokens` tokens do not use. At most `block_size - 1` after
    /// [`crate::BlockPool::allocate_slots`] for `tokens` tokens.
    ///
    /// # Panics
    /// If the pool has no such group.
    pub fn internal_fragmentation(&self, group: usize, tokens: usize) -> usize {
        let table = &self.tables[group];
        let first_allocated = table.null_blocks() * self.block_size;
        self.capacity() - tokens.clamp(first_allocated, self.capacity())
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

    /// The slot of a position in a group: `block * block_size + offset`. `None` if the position has no slot or is in
    /// the null block.
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
    fn free_before_leaves_null_blocks_at_the_start() {
        let mut table = BlockTable::from_prefix(1, ids(10..14));
        assert_eq!(table.free_before(1), []);
        assert_eq!(table.free_before(3), ids(10..12));
        assert_eq!(table.null_blocks(), 3);
        assert_eq!(table.allocated_blocks(), 2);
        assert_eq!(table.blocks()[2], BlockId::NULL);
        assert_eq!(table.blocks()[3], BlockId(12));
    }

    #[test]
    fn internal_fragmentation_counts_allocated_slots_after_the_tokens() {
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
    fn truncate_returns_removed_blocks_last_first() {
        let mut table = BlockTable::from_prefix(2, ids(10..13));
        assert_eq!(table.truncate(4), [BlockId(12)]);
        assert_eq!(table.truncate(1), [BlockId(11), BlockId(10)]);
        assert_eq!(table.blocks(), [BlockId::NULL]);
        assert_eq!(table.null_blocks(), 1);
        assert_eq!(table.truncate(5), []);
    }
}

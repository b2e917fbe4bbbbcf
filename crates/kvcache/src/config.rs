//! Configuration of a block pool.

use std::{error::Error, fmt};

/// Sizes of a [`crate::BlockPool`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Token slots per block, the same in every group.
    pub block_size: usize,
    /// One entry per kind of attention layer. Groups are addressed by their index here.
    pub groups: Vec<GroupConfig>,
}

/// One cache group: the layers that need the same positions of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// Which positions these layers attend to.
    pub kind: GroupKind,
    /// Number of blocks, shared by all sequences.
    pub blocks: usize,
}

/// Which earlier positions the layers of a group attend to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupKind {
    /// Every earlier position.
    Full,
    /// A position attends to itself and to the `window - 1` positions before it.
    SlidingWindow {
        /// Window size in positions, including the query position itself.
        window: usize,
    },
}

impl GroupKind {
    /// First position that the token at `position` attends to.
    pub fn first_attended_position(self, position: usize) -> usize {
        match self {
            Self::Full => 0,
            Self::SlidingWindow { window } => (position + 1).saturating_sub(window),
        }
    }

    /// Upper bound on the blocks that one sequence of `len` tokens holds at a time when it is computed in chunks of at
    /// most `chunk` tokens. Multiply by the number of sequences to size a pool.
    pub fn max_blocks_per_sequence(self, len: usize, chunk: usize, block_size: usize) -> usize {
        let all = len.div_ceil(block_size);
        match self {
            Self::Full => all,
            Self::SlidingWindow { window } => {
                // Worst alignment of this many consecutive tokens to block boundaries.
                let tokens = (window - 1).saturating_add(chunk.max(1));
                all.min((tokens - 1).div_ceil(block_size) + 1)
            }
        }
    }
}

/// Why a [`PoolConfig`] is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `block_size` is zero.
    ZeroBlockSize,
    /// `groups` is empty.
    NoGroups,
    /// A group has no blocks.
    NoBlocks {
        /// Index of the group.
        group: usize,
    },
    /// A group has more slots than 32-bit slot numbers can address.
    TooManyBlocks {
        /// Index of the group.
        group: usize,
        /// The configured number of blocks.
        blocks: usize,
        /// Maximum number of blocks for this block size.
        limit: usize,
    },
    /// A sliding window has zero positions.
    ZeroWindow {
        /// Index of the group.
        group: usize,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroBlockSize => write!(f, "the cache block size is 0; it must be at least 1"),
            Self::NoGroups => write!(f, "the cache has no groups; a model needs at least one"),
            Self::NoBlocks { group } => write!(
                f,
                "cache group {group} has no blocks; give the cache more memory"
            ),
            Self::TooManyBlocks {
                group,
                blocks,
                limit,
            } => write!(
                f,
                "cache group {group} has {blocks} blocks; at most {limit} are possible, give the cache less memory"
            ),
            Self::ZeroWindow { group } => write!(
                f,
                "cache group {group} has a sliding window of 0 positions; it must be at least 1"
            ),
        }
    }
}

impl Error for ConfigError {}

impl PoolConfig {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.block_size == 0 {
            return Err(ConfigError::ZeroBlockSize);
        }
        if self.groups.is_empty() {
            return Err(ConfigError::NoGroups);
        }
        // Kernels use 32-bit slot numbers, and `u32::MAX` is the null block.
        let limit = (u32::MAX as usize - 1) / self.block_size;
        for (group, config) in self.groups.iter().enumerate() {
            let blocks = config.blocks;
            if blocks == 0 {
                return Err(ConfigError::NoBlocks { group });
            }
            if blocks > limit {
                return Err(ConfigError::TooManyBlocks {
                    group,
                    blocks,
                    limit,
                });
            }
            if config.kind == (GroupKind::SlidingWindow { window: 0 }) {
                return Err(ConfigError::ZeroWindow { group });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(block_size: usize, kind: GroupKind, blocks: usize) -> PoolConfig {
        PoolConfig {
            block_size,
            groups: vec![GroupConfig { kind, blocks }],
        }
    }

    #[test]
    fn validate_rejects_invalid_sizes() {
        assert_eq!(
            pool(0, GroupKind::Full, 1).validate(),
            Err(ConfigError::ZeroBlockSize)
        );
        assert_eq!(
            pool(1, GroupKind::Full, 0).validate(),
            Err(ConfigError::NoBlocks { group: 0 })
        );
        assert_eq!(
            pool(1, GroupKind::SlidingWindow { window: 0 }, 1).validate(),
            Err(ConfigError::ZeroWindow { group: 0 })
        );
        assert!(matches!(
            pool(16, GroupKind::Full, u32::MAX as usize / 16).validate(),
            Ok(())
        ));
        assert!(matches!(
            pool(16, GroupKind::Full, u32::MAX as usize).validate(),
            Err(ConfigError::TooManyBlocks { .. })
        ));
        let none = PoolConfig {
            block_size: 1,
            groups: Vec::new(),
        };
        assert_eq!(none.validate(), Err(ConfigError::NoGroups));
    }

    #[test]
    fn first_attended_position_follows_the_window() {
        let kind = GroupKind::SlidingWindow { window: 4 };
        assert_eq!(kind.first_attended_position(2), 0);
        assert_eq!(kind.first_attended_position(3), 0);
        assert_eq!(kind.first_attended_position(4), 1);
        assert_eq!(GroupKind::Full.first_attended_position(100), 0);
    }

    #[test]
    fn max_blocks_per_sequence_covers_the_worst_alignment() {
        for window in 1..12 {
            for chunk in 1..9 {
                for block_size in 1..6 {
                    let kind = GroupKind::SlidingWindow { window };
                    let worst = (0..40)
                        .map(|start| {
                            let first = kind.first_attended_position(start) / block_size;
                            (start + chunk).div_ceil(block_size) - first
                        })
                        .max();
                    assert_eq!(
                        Some(kind.max_blocks_per_sequence(1000, chunk, block_size)),
                        worst
                    );
                }
            }
        }
        assert_eq!(GroupKind::Full.max_blocks_per_sequence(33, 8, 16), 3);
        assert_eq!(
            GroupKind::SlidingWindow { window: 512 }.max_blocks_per_sequence(33, 8, 16),
            3
        );
    }
}

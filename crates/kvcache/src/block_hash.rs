//! Hashes that identify cached prefixes.

use std::hash::{BuildHasher, RandomState};

/// Hash of a whole prefix: the cache salt and every token up to the end of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlockHash(u128);

/// Computes chained [`BlockHash`]es.
///
/// Two 64-bit hashes with independent random keys give 128 bits. The keys are random per process, so an attacker cannot
/// construct colliding prompts offline.
#[derive(Debug, Default)]
pub(crate) struct BlockHasher {
    low: RandomState,
    high: RandomState,
}

impl BlockHasher {
    /// The hash of the empty prefix.
    pub(crate) fn root(&self, cache_salt: u64) -> BlockHash {
        self.hash(&cache_salt)
    }

    /// The hash of `parent` followed by one more block.
    pub(crate) fn extend(&self, parent: BlockHash, block: &[u32]) -> BlockHash {
        self.hash(&(parent.0, block))
    }

    fn hash(&self, value: &impl std::hash::Hash) -> BlockHash {
        let low = self.low.hash_one(value);
        let high = self.high.hash_one(value);
        BlockHash(u128::from(high) << 64 | u128::from(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn hash_depends_on_salt_order_and_position() {
        let hasher = BlockHasher::default();
        let mut hashes = HashSet::new();
        for salt in 0..10 {
            let root = hasher.root(salt);
            assert!(hashes.insert(root));
            for first in 0..10 {
                let one = hasher.extend(root, &[first, 1]);
                assert!(hashes.insert(one));
                for second in 0..10 {
                    assert!(hashes.insert(hasher.extend(one, &[second, 1])));
                }
            }
        }
        let root = hasher.root(0);
        assert_eq!(hasher.extend(root, &[1, 2]), hasher.extend(root, &[1, 2]));
    }

    #[test]
    fn hash_halves_are_independent() {
        let hasher = BlockHasher::default();
        for salt in 0..100 {
            let BlockHash(hash) = hasher.root(salt);
            assert_ne!(hash as u64, (hash >> 64) as u64);
        }
    }
}

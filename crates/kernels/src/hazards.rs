//! Which dispatches of a pass depend on earlier ones.
//!
//! Dispatches run concurrently on a device unless there is a barrier between them. A barrier is needed before a
//! dispatch that reads what one since the last barrier writes, or writes what one of them reads or writes.

use std::ops::Range;

use crate::rows::Rows;

/// Memory that a dispatch reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    memory: Memory,
    range: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// A chunk of the arena.
    Arena(usize),
    /// A KV cache, by its number.
    KvCache(u64),
}

impl Access {
    /// The place of activations.
    pub fn rows(rows: &Rows) -> Self {
        let place = rows.place();
        Self {
            memory: Memory::Arena(place.chunk),
            range: place.start..place.start + place.len,
        }
    }

    /// A whole KV cache.
    pub fn kv_cache(id: u64) -> Self {
        Self {
            memory: Memory::KvCache(id),
            range: 0..1,
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.memory == other.memory
            && self.range.start < other.range.end
            && other.range.start < self.range.end
    }
}

/// The accesses since the last barrier.
#[derive(Debug, Default)]
pub(crate) struct Hazards {
    reads: Vec<Access>,
    writes: Vec<Access>,
}

impl Hazards {
    /// Adds dispatches that together read and write this memory and do not depend on each other. Returns whether a barrier
    /// is needed before them.
    pub fn add(&mut self, reads: &[Access], writes: &[Access]) -> bool {
        let meets = |accesses: &[Access], others: &[Access]| {
            accesses
                .iter()
                .any(|access| others.iter().any(|other| access.overlaps(other)))
        };
        let barrier =
            meets(reads, &self.writes) || meets(writes, &self.writes) || meets(writes, &self.reads);
        if barrier {
            self.reads.clear();
            self.writes.clear();
        }
        self.reads.extend_from_slice(reads);
        self.writes.extend_from_slice(writes);
        barrier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(range: Range<usize>) -> Access {
        Access {
            memory: Memory::Arena(0),
            range,
        }
    }

    #[test]
    fn barrier_is_derived_from_overlapping_ranges() {
        let mut hazards = Hazards::default();
        assert!(!hazards.add(&[rows(0..10)], &[rows(10..20)]));
        // Reads of the same memory, and writes of other memory.
        assert!(!hazards.add(&[rows(0..10)], &[rows(20..30)]));
        assert!(hazards.add(&[rows(19..21)], &[rows(30..40)]));
        // The barrier orders all dispatches before it.
        assert!(!hazards.add(&[rows(10..20)], &[rows(40..50)]));
        // A write over memory that is read, and over memory that is written.
        assert!(hazards.add(&[], &[rows(0..11)]));
        assert!(hazards.add(&[], &[rows(10..12)]));
    }

    #[test]
    fn barrier_is_not_needed_for_other_memory() {
        let mut hazards = Hazards::default();
        let other = Access {
            memory: Memory::Arena(1),
            range: 0..10,
        };
        assert!(!hazards.add(&[], &[rows(0..10), Access::kv_cache(1)]));
        assert!(!hazards.add(&[other, Access::kv_cache(2)], &[]));
        assert!(hazards.add(&[Access::kv_cache(1)], &[]));
    }
}

//! The free ranges of a chunk of the arena.

use std::{iter, ops::Range};

/// Free ranges in ascending order, none of them adjacent. The lowest range that fits is taken, so the same calls give
/// the same ranges.
#[derive(Debug)]
pub(super) struct FreeList(Vec<Range<usize>>);

impl FreeList {
    /// Everything below `len` is free.
    pub fn new(len: usize) -> Self {
        Self(iter::once(0..len).collect())
    }

    /// Takes `len` elements and returns the first of them; `None` if no range has so many.
    pub fn allocate(&mut self, len: usize) -> Option<usize> {
        let index = self.0.iter().position(|range| range.len() >= len)?;
        let range = &mut self.0[index];
        let start = range.start;
        range.start += len;
        if range.start == range.end {
            self.0.remove(index);
        }
        Some(start)
    }

    /// Returns a range that was taken.
    pub fn deallocate(&mut self, range: Range<usize>) {
        let index = self.0.partition_point(|free| free.start < range.start);
        let joins_next = self
            .0
            .get(index)
            .is_some_and(|next| next.start == range.end);
        let joins_previous = index > 0 && self.0[index - 1].end == range.start;
        match (joins_previous, joins_next) {
            (true, true) => self.0[index - 1].end = self.0.remove(index).end,
            (true, false) => self.0[index - 1].end = range.end,
            (false, true) => self.0[index].start = range.start,
            (false, false) => self.0.insert(index, range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_list_allocates_the_lowest_range_that_fits() {
        let mut free = FreeList::new(100);
        assert_eq!(
            [free.allocate(30), free.allocate(20), free.allocate(50)],
            [Some(0), Some(30), Some(50)]
        );
        assert_eq!(free.allocate(1), None);
        free.deallocate(50..100);
        free.deallocate(0..30);
        assert_eq!([free.allocate(40), free.allocate(30)], [Some(50), Some(0)]);
    }

    #[test]
    fn free_list_joins_adjacent_ranges_in_any_order() {
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut free = FreeList::new(30);
            while free.allocate(10).is_some() {}
            for part in order {
                free.deallocate(part * 10..(part + 1) * 10);
            }
            assert_eq!(free.allocate(30), Some(0), "{order:?}");
        }
    }
}

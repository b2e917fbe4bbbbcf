//! Queue of free blocks in eviction order.

use crate::BlockId;

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
}

/// A doubly linked list stored in an array, so that a prefix cache hit can remove a block from the middle in constant
/// time.
#[derive(Debug)]
pub(crate) struct FreeList {
    links: Vec<Link>,
    head: u32,
    tail: u32,
    len: usize,
}

impl FreeList {
    /// A list that contains blocks `0..blocks`, lowest id first.
    pub(crate) fn full(blocks: usize) -> Self {
        let unlinked = Link {
            previous: NONE,
            next: NONE,
        };
        let mut list = Self {
            links: vec![unlinked; blocks],
            head: NONE,
            tail: NONE,
            len: 0,
        };
        for block in 0..blocks {
            list.push_back(BlockId(block as u32));
        }
        list
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a block that is reused last.
    pub(crate) fn push_back(&mut self, block: BlockId) {
        self.links[block.index()] = Link {
            previous: self.tail,
            next: NONE,
        };
        match self.tail {
            NONE => self.head = block.0,
            tail => self.links[tail as usize].next = block.0,
        }
        self.tail = block.0;
        self.len += 1;
    }

    /// Adds a block that is reused first.
    pub(crate) fn push_front(&mut self, block: BlockId) {
        self.links[block.index()] = Link {
            previous: NONE,
            next: self.head,
        };
        match self.head {
            NONE => self.tail = block.0,
            head => self.links[head as usize].previous = block.0,
        }
        self.head = block.0;
        self.len += 1;
    }

    pub(crate) fn pop_front(&mut self) -> Option<BlockId> {
        let block = BlockId(self.head);
        if self.head == NONE {
            return None;
        }
        self.remove(block);
        Some(block)
    }

    /// Removes a block, which must be in the list.
    pub(crate) fn remove(&mut self, block: BlockId) {
        let Link { previous, next } = self.links[block.index()];
        match previous {
            NONE => self.head = next,
            previous => self.links[previous as usize].next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => self.links[next as usize].previous = previous,
        }
        self.len -= 1;
    }

    #[cfg(test)]
    pub(crate) fn blocks(&self) -> Vec<BlockId> {
        let mut blocks = Vec::new();
        let mut at = self.head;
        while at != NONE {
            blocks.push(BlockId(at));
            at = self.links[at as usize].next;
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn free_list_matches_vec_deque(operations in prop::collection::vec((0..4u8, 0..6u32), 0..80)) {
            let mut list = FreeList::full(6);
            let mut model: VecDeque<BlockId> = (0..6).map(BlockId).collect();
            for (operation, id) in operations {
                let block = BlockId(id);
                match (operation, model.contains(&block)) {
                    (0, _) => prop_assert_eq!(list.pop_front(), model.pop_front()),
                    (1, true) => {
                        list.remove(block);
                        model.retain(|&other| other != block);
                    }
                    (2, false) => {
                        list.push_back(block);
                        model.push_back(block);
                    }
                    (3, false) => {
                        list.push_front(block);
                        model.push_front(block);
                    }
                    _ => {}
                }
                prop_assert_eq!(list.blocks(), Vec::from(model.clone()));
                prop_assert_eq!(list.len(), model.len());
            }
        }
    }
}

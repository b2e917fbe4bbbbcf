//! Which dispatches of a pass depend on earlier ones.
//!
//! Dispatches run concurrently on a device unless there is a barrier between them. A barrier is needed before a
//! dispatch that reads what one since the last barrier writes, or writes what one of them reads or writes.

use crate::metal::{Access, Binding, BufferRange};

/// The accesses since the last barrier.
#[derive(Debug, Default)]
pub(crate) struct Hazards {
    reads: Vec<BufferRange>,
    /// Each with the number of its operation.
    writes: Vec<(BufferRange, usize)>,
    /// Number of the current operation.
    operation: usize,
}

impl Hazards {
    /// Starts an operation. Its dispatches may write to the same ranges, but not to the same elements: parts of a row, or
    /// rows of different kinds.
    pub fn start_operation(&mut self) {
        self.operation += 1;
    }

    /// Adds a dispatch of the current operation with these bindings. Returns whether a barrier is needed before it.
    pub fn add(&mut self, bindings: &[Binding]) -> bool {
        let is_written = |range: &BufferRange, by_others: bool| {
            self.writes.iter().any(|(other, operation)| {
                overlap(range, other) && !(by_others && *operation == self.operation)
            })
        };
        let is_read = |range: &BufferRange| self.reads.iter().any(|other| overlap(range, other));
        let barrier = bindings
            .iter()
            .any(|Binding { range, access, .. }| match access {
                Access::Constant => false,
                Access::Read => is_written(range, false),
                Access::Write => is_written(range, true) || is_read(range),
            });
        if barrier {
            self.clear();
        }
        for Binding { range, access, .. } in bindings {
            match access {
                Access::Constant => {}
                Access::Read => self.reads.push(*range),
                Access::Write => self.writes.push((*range, self.operation)),
            }
        }
        barrier
    }

    /// Forgets all accesses: what follows runs after all of them.
    pub fn clear(&mut self) {
        self.reads.clear();
        self.writes.clear();
    }
}

fn overlap(range: &BufferRange, other: &BufferRange) -> bool {
    let end = |range: &BufferRange| range.offset.saturating_add(range.bytes);
    range.buffer == other.buffer && range.offset < end(other) && other.offset < end(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metal::BufferId;

    fn binding(buffer: u32, range: std::ops::Range<usize>, access: Access) -> Binding {
        Binding {
            index: 1,
            range: BufferRange {
                buffer: BufferId(buffer),
                offset: range.start,
                bytes: range.len(),
            },
            access,
        }
    }

    #[test]
    fn barrier_is_derived_from_overlapping_ranges() {
        let mut hazards = Hazards::default();
        hazards.start_operation();
        let reads = |range| binding(0, range, Access::Read);
        let writes = |range| binding(0, range, Access::Write);
        assert!(!hazards.add(&[reads(0..10), writes(10..20)]));
        // Reads of the same memory, and writes of other memory.
        assert!(!hazards.add(&[reads(0..10), writes(20..30)]));
        assert!(hazards.add(&[reads(19..21), writes(30..40)]));
        // The barrier orders all dispatches before it.
        assert!(!hazards.add(&[reads(10..20), writes(40..50)]));
        // A write over memory that is read, and over memory that is written.
        assert!(hazards.add(&[writes(0..11)]));
        hazards.start_operation();
        assert!(hazards.add(&[writes(10..12)]));
        hazards.clear();
        assert!(!hazards.add(&[reads(10..12)]));
    }

    #[test]
    fn dispatches_of_an_operation_write_distinct_elements_of_a_range() {
        let mut hazards = Hazards::default();
        let range = |access| [binding(0, 0..10, access)];
        assert!(!hazards.add(&range(Access::Write)));
        assert!(!hazards.add(&range(Access::Write)));
        assert!(hazards.add(&range(Access::Read)));
        assert!(hazards.add(&range(Access::Write)));
        hazards.start_operation();
        assert!(hazards.add(&range(Access::Write)));
    }

    #[test]
    fn barrier_is_not_needed_for_other_memory_and_constants() {
        let mut hazards = Hazards::default();
        assert!(!hazards.add(&[
            binding(0, 0..10, Access::Write),
            binding(1, 0..usize::MAX, Access::Write),
        ]));
        assert!(!hazards.add(&[
            binding(2, 0..10, Access::Read),
            binding(0, 0..10, Access::Constant),
        ]));
        assert!(hazards.add(&[binding(1, 5..6, Access::Read)]));
    }
}

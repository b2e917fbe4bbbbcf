//! Activations, as handles of ranges of an arena.

mod arena;
mod free_list;

use std::{fmt, sync::Arc};

pub(crate) use arena::{Arena, ArenaMemory, Place};

use crate::KernelError;

/// Activations `[rows, width]` of f32: the result of an operation.
///
/// The values are wherever the backend has them; [`crate::Kernels::read`] copies them to the host once the pass that
/// computes them is finished. Dropping the handle lets later operations use the memory, in an order that is the same
/// for the same calls. A handle may be used in later passes of the same [`crate::Kernels`].
pub struct Rows {
    count: usize,
    width: usize,
    place: Place,
    /// The pass that computes the values; 0 for values from the host.
    pass: u64,
    arena: Arc<Arena>,
}

impl Rows {
    pub(crate) fn new(
        arena: &Arc<Arena>,
        pass: u64,
        rows: usize,
        width: usize,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            place: arena.allocate(rows.saturating_mul(width))?,
            count: rows,
            width,
            pass,
            arena: arena.clone(),
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.count
    }

    /// Elements of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn shape(&self) -> String {
        format!("[{}, {}]", self.count, self.width)
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    pub(crate) fn pass(&self) -> u64 {
        self.pass
    }

    pub(crate) fn is_in(&self, arena: &Arc<Arena>) -> bool {
        Arc::ptr_eq(&self.arena, arena)
    }

    /// The values, if they are in main memory.
    ///
    /// # Panics
    /// If they are not.
    pub(crate) fn as_slice(&self) -> &[f32] {
        if self.place.len == 0 {
            return &[];
        }
        // SAFETY: the place is a part of a map, which was zeroed when it was created, and stays in use, and so mapped,
        // as long as this handle. Only its owner accesses it, and `&self` excludes writes.
        unsafe { std::slice::from_raw_parts(self.arena.pointer(self.place), self.place.len) }
    }

    /// As [`Rows::as_slice`], for writing.
    ///
    /// # Panics
    /// If the values are not in main memory.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        if self.place.len == 0 {
            return &mut [];
        }
        // SAFETY: as for `as_slice`; `&mut self` excludes all other accesses.
        unsafe { std::slice::from_raw_parts_mut(self.arena.pointer(self.place), self.place.len) }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.arena.deallocate(self.place);
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({})", self.shape())
    }
}

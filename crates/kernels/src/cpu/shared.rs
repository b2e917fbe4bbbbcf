//! An output that several threads fill in, each its own part.

use std::marker::PhantomData;

/// A slice whose disjoint parts are written by different threads.
#[derive(Clone, Copy)]
pub(crate) struct SharedOutput<'a> {
    start: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: the methods that write ask the caller for disjoint parts.
unsafe impl Sync for SharedOutput<'_> {}

impl<'a> SharedOutput<'a> {
    pub fn new(slice: &'a mut [f32]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }

    /// The reserved elements of `values`, which hold nothing yet.
    pub fn reserved(values: &'a mut Vec<f32>) -> Self {
        Self {
            start: values.as_mut_ptr(),
            len: values.capacity(),
            slice: PhantomData,
        }
    }

    /// The address of a part, whose elements may hold nothing yet.
    #[inline(always)]
    pub fn pointer(&self, start: usize, len: usize) -> *mut f32 {
        assert!(start <= self.len && len <= self.len - start);
        self.start.wrapping_add(start)
    }

    /// # Safety
    /// No other thread writes this element, and `index` is inside.
    #[inline(always)]
    pub unsafe fn write(&self, index: usize, value: f32) {
        debug_assert!(index < self.len);
        // SAFETY: the caller's promise.
        unsafe { self.start.add(index).write(value) }
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// Nobody else holds an overlapping part.
    #[inline(always)]
    pub unsafe fn part(&self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: inside of the slice by the assertion, disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

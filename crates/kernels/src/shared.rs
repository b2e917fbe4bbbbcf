//! Output memory that threads write in parallel, each its own part.

#![expect(
    clippy::inline_always,
    reason = "bounds checks are hoisted out of the loops of the callers"
)]

use std::{fmt, marker::PhantomData};

/// A mutable slice whose disjoint parts are written by different threads.
pub(crate) struct SharedOutput<'a, T = f32> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

impl<T> Clone for SharedOutput<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedOutput<'_, T> {}

// SAFETY: elements are accessed only through `part`, whose contract makes the parts of different threads disjoint, and
// through raw pointers by unsafe code with the same contract. So sharing a `SharedOutput` sends elements to other threads
// but does not share them.
unsafe impl<T: Send> Sync for SharedOutput<'_, T> {}

impl<'a, T> SharedOutput<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }

    /// The elements `start .. start + len`.
    ///
    /// # Panics
    /// If they are not inside the slice.
    ///
    /// # Safety
    /// The elements are initialized: this is not the output of an [`UninitBuffer`]. No other reference to an overlapping part exists, on any thread, while the returned one is used.
    #[inline(always)]
    pub unsafe fn part(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: the part is inside the slice by the assertion, and the slice is borrowed mutably for `'a`. No other
        // reference overlaps it by the contract of this function.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// Pointer to element `index`, or one past the last element.
    #[inline(always)]
    pub fn pointer(&self, index: usize) -> *mut T {
        assert!(index <= self.len);
        self.start.wrapping_add(index)
    }
}

/// An uninitialized buffer that threads fill through raw pointers.
pub(crate) struct UninitBuffer<T> {
    /// Owns the memory; its length is 0.
    _memory: Vec<T>,
    /// Start of the memory.
    start: *mut T,
    /// Elements that the memory has room for.
    len: usize,
}

// SAFETY: `start` points to memory that `_memory` owns, and a `Vec<T>` is `Send` if `T` is.
unsafe impl<T: Send> Send for UninitBuffer<T> {}
// SAFETY: safe methods only compute pointers. Elements are accessed by unsafe code, which may send them to other
// threads by writing them (`T: Send`) or share them through `slice` (`T: Sync`).
unsafe impl<T: Send + Sync> Sync for UninitBuffer<T> {}

impl<T: Copy> UninitBuffer<T> {
    pub fn new(len: usize) -> Self {
        let mut memory = Vec::with_capacity(len);
        let start = memory.as_mut_ptr();
        Self {
            _memory: memory,
            start,
            len,
        }
    }

    /// Pointer to element `index`, or one past the last element.
    #[inline(always)]
    pub fn pointer(&self, index: usize) -> *mut T {
        assert!(index <= self.len);
        // SAFETY: the allocation has room for `len` elements, so the pointer is inside it or one past its end.
        unsafe { self.start.add(index) }
    }

    /// Pointer to the elements `start .. start + len`.
    #[inline(always)]
    pub fn part(&self, start: usize, len: usize) -> *mut T {
        assert!(start <= self.len && len <= self.len - start);
        self.start.wrapping_add(start)
    }

    /// The elements `start .. start + len`.
    ///
    /// # Safety
    /// The elements have been written, by this thread or before it synchronized with the writing threads, and no thread
    /// writes them while the slice exists.
    pub unsafe fn slice(&self, start: usize, len: usize) -> &[T] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: the elements are inside the allocation by the assertion, and initialized and not written by the
        // contract of this function.
        unsafe { std::slice::from_raw_parts(self.start.add(start), len) }
    }

    /// The buffer as output, to be written through pointers only: its elements are not initialized.
    pub fn output(&self) -> SharedOutput<'_, T> {
        SharedOutput {
            start: self.start,
            len: self.len,
            slice: PhantomData,
        }
    }
}

impl<T> fmt::Debug for UninitBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UninitBuffer({} elements)", self.len)
    }
}

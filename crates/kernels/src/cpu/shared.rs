//! An output that several threads fill in, each its own part.

use std::{fmt, marker::PhantomData};

/// A slice whose disjoint parts are written by different threads.
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

// SAFETY: the methods that write ask the caller for disjoint parts.
unsafe impl<T: Send> Sync for SharedOutput<'_, T> {}

impl<'a, T> SharedOutput<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }

    /// A part of the slice.
    ///
    /// # Safety
    /// Nobody else holds an overlapping part.
    #[inline(always)]
    pub unsafe fn part(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: inside of the slice by the assertion, disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// Memory that starts without values, to be filled in through pointers.
pub(crate) struct UninitBuffer<T> {
    /// Its length stays 0 until the values are taken.
    memory: Vec<T>,
    start: *mut T,
    len: usize,
}

// SAFETY: the memory is reached through raw pointers alone, whose users see to it that threads write disjoint parts and
// read what has been written.
unsafe impl<T: Send> Send for UninitBuffer<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for UninitBuffer<T> {}

impl<T: Copy> UninitBuffer<T> {
    pub fn new(len: usize) -> Self {
        let mut memory = Vec::with_capacity(len);
        let start = memory.as_mut_ptr();
        Self { memory, start, len }
    }

    /// Where the element `index` is.
    #[inline(always)]
    pub fn pointer(&self, index: usize) -> *mut T {
        assert!(index <= self.len);
        // SAFETY: inside of the memory, or right behind it.
        unsafe { self.start.add(index) }
    }

    /// Where a part is.
    #[inline(always)]
    pub fn part(&self, start: usize, len: usize) -> *mut T {
        assert!(start <= self.len && len <= self.len - start);
        self.start.wrapping_add(start)
    }

    /// The elements from `start` on.
    ///
    /// # Safety
    /// They have been written, and nobody writes them any more.
    pub unsafe fn slice(&self, start: usize, len: usize) -> &[T] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: inside of the memory by the assertion; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start.add(start), len) }
    }

    /// The values.
    ///
    /// # Safety
    /// Every element has been written.
    pub unsafe fn into_vec(mut self) -> Vec<T> {
        // SAFETY: the caller's promise; the capacity was asked for.
        unsafe { self.memory.set_len(self.len) };
        self.memory
    }
}

impl<T> fmt::Debug for UninitBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UninitBuffer({} elements)", self.len)
    }
}

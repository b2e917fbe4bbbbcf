//! Output memory that several threads write, each its own part.

use std::{fmt, marker::PhantomData};

/// A slice whose disjoint parts different threads write.
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

// SAFETY: the contract of `part` makes threads use disjoint parts.
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
    /// No other reference to an overlapping part exists.
    #[inline(always)]
    pub unsafe fn part(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: inside the slice by the assertion, disjoint by the contract of this function.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// An uninitialized buffer that threads fill through raw pointers.
pub(crate) struct UninitBuffer<T> {
    /// Has length 0 until [`UninitBuffer::into_vec`].
    memory: Vec<T>,
    start: *mut T,
    len: usize,
}

// SAFETY: the memory is reached only through raw pointers, whose users let threads write disjoint parts and read only
// what has been written.
unsafe impl<T: Send> Send for UninitBuffer<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for UninitBuffer<T> {}

impl<T: Copy> UninitBuffer<T> {
    pub fn new(len: usize) -> Self {
        let mut memory = Vec::with_capacity(len);
        let start = memory.as_mut_ptr();
        Self { memory, start, len }
    }

    /// Pointer to element `index`.
    #[inline(always)]
    pub fn pointer(&self, index: usize) -> *mut T {
        assert!(index <= self.len);
        // SAFETY: inside the allocation, or one past its end.
        unsafe { self.start.add(index) }
    }

    /// Pointer to a part.
    #[inline(always)]
    pub fn part(&self, start: usize, len: usize) -> *mut T {
        assert!(start <= self.len && len <= self.len - start);
        self.start.wrapping_add(start)
    }

    /// The `len` elements from `start` on.
    ///
    /// # Safety
    /// The elements have been written, and no thread writes them while the slice exists.
    pub unsafe fn slice(&self, start: usize, len: usize) -> &[T] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: inside the memory by the assertion; the rest is the contract of this function.
        unsafe { std::slice::from_raw_parts(self.start.add(start), len) }
    }

    /// The buffer as a vector.
    ///
    /// # Safety
    /// Every element has been written.
    pub unsafe fn into_vec(mut self) -> Vec<T> {
        // SAFETY: the contract of this function; the capacity was asked for.
        unsafe { self.memory.set_len(self.len) };
        self.memory
    }
}

impl<T> fmt::Debug for UninitBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UninitBuffer({} elements)", self.len)
    }
}

//! Output memory that threads write in parallel, each its own part.

#![expect(
    clippy::inline_always,
    reason = "bounds checks are hoisted out of the loops of the callers"
)]

use std::{fmt, marker::PhantomData, sync::Arc};

use crate::{
    Element, KernelError,
    rows::{Arena, Rows},
};

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
    /// No other reference to an overlapping part exists, on any thread, while the returned one is used.
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

/// Memory of an operation for intermediate values, which threads fill through raw pointers. It is part of the arena of
/// activations, and has the values of an earlier use at first.
pub(crate) struct Scratch<T> {
    /// Owns the memory.
    rows: Rows,
    start: *mut T,
    /// Elements that the memory has room for.
    len: usize,
}

// SAFETY: `start` points to memory that `rows` owns, and `rows` is `Send`.
unsafe impl<T: Send> Send for Scratch<T> {}
// SAFETY: safe methods only compute pointers. Elements are accessed by unsafe code, which may send them to other
// threads by writing them (`T: Send`) or share them through `slice` (`T: Sync`).
unsafe impl<T: Send + Sync> Sync for Scratch<T> {}

impl<T: Element> Scratch<T> {
    /// Takes memory for `len` elements from an arena of the host.
    pub fn new(arena: &Arc<Arena>, len: usize) -> Result<Self, KernelError> {
        const {
            assert!(align_of::<T>() <= align_of::<f32>());
        }
        let floats = len
            .saturating_mul(size_of::<T>())
            .div_ceil(size_of::<f32>());
        let mut rows = Rows::new(arena, 0, 1, floats)?;
        Ok(Self {
            start: rows.as_mut_slice().as_mut_ptr().cast(),
            rows,
            len,
        })
    }

    /// Pointer to element `index`, or one past the last element.
    #[inline(always)]
    pub fn pointer(&self, index: usize) -> *mut T {
        assert!(index <= self.len);
        // SAFETY: the memory has room for `len` elements, so the pointer is inside it or one past its end.
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
    /// No thread writes the elements while the slice exists.
    pub unsafe fn slice(&self, start: usize, len: usize) -> &[T] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: the elements are inside the memory by the assertion. The memory of an arena is initialized, and every
        // bit pattern is a valid `T`. They are not written by the contract of this function.
        unsafe { std::slice::from_raw_parts(self.start.add(start), len) }
    }

    /// The memory as output.
    pub fn output(&self) -> SharedOutput<'_, T> {
        SharedOutput {
            start: self.start,
            len: self.len,
            slice: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Scratch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scratch({} elements in {:?})", self.len, self.rows)
    }
}

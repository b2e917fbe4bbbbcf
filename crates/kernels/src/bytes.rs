//! Immutable bytes that are either a range of a memory-mapped file or owned.

use std::{fmt, marker::PhantomData, ops::Deref, ops::Range, sync::Arc};

use memmap2::{Mmap, MmapMut};

/// A cheaply cloned, immutable range of bytes.
///
/// Weights stay where the operating system mapped them; a clone shares the map.
#[derive(Clone)]
pub struct Bytes {
    source: Source,
    range: Range<usize>,
}

#[derive(Clone)]
enum Source {
    Mapped(Arc<Mmap>),
    /// A copy in whole pages.
    Pages(Arc<Mmap>),
    Owned(Arc<Vec<u8>>),
}

impl Bytes {
    /// The bytes `range` of a memory-mapped file.
    ///
    /// # Panics
    /// If `range` is not inside the map.
    ///
    /// # Safety
    /// `map` maps a file and has not been written to, as anonymous or copy-on-write memory can have been: its pages
    /// may be dropped at any time and read from the file again.
    pub unsafe fn mapped(map: Arc<Mmap>, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= map.len(),
            "bytes {range:?} are outside a map of {} bytes",
            map.len()
        );
        Self {
            source: Source::Mapped(map),
            range,
        }
    }

    /// Bytes on the heap.
    pub fn owned(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self {
            source: Source::Owned(Arc::new(bytes)),
            range,
        }
    }

    /// A copy at the start of pages of its own.
    pub(crate) fn copy_to_pages(&self) -> std::io::Result<Self> {
        let mut map = MmapMut::map_anon(self.len().max(1))?;
        map[..self.len()].copy_from_slice(self.as_slice());
        Ok(Self {
            source: Source::Pages(Arc::new(map.make_read_only()?)),
            range: 0..self.len(),
        })
    }

    /// The map that these bytes are a part of.
    pub(crate) fn map(&self) -> Option<&Arc<Mmap>> {
        match &self.source {
            Source::Mapped(map) | Source::Pages(map) => Some(map),
            Source::Owned(_) => None,
        }
    }

    /// The bytes themselves.
    pub fn as_slice(&self) -> &[u8] {
        let all: &[u8] = match &self.source {
            Source::Mapped(map) | Source::Pages(map) => map,
            Source::Owned(bytes) => bytes,
        };
        &all[self.range.clone()]
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// A part of these bytes, sharing their storage.
    ///
    /// # Panics
    /// If `range` is not inside these bytes.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.len(),
            "bytes {range:?} are outside {} bytes",
            self.len()
        );
        Self {
            source: self.source.clone(),
            range: self.range.start + range.start..self.range.start + range.end,
        }
    }

    /// Returns the memory of a mapped range to the system; it is read from the file again when needed.
    pub(crate) fn release(&self) {
        #[cfg(unix)]
        if let Source::Mapped(map) = &self.source {
            // SAFETY: by the contract of `mapped`, dropped pages are read from the file again and have the same
            // content. If the call fails, the memory stays.
            let _ = unsafe {
                map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    self.range.start,
                    self.range.len(),
                )
            };
        }
    }

    /// The bytes read as little-endian elements, aligned for `T`.
    ///
    /// Nothing is copied unless the storage is not aligned for `T`, as happens to tensors that
    /// follow an odd number of bytes in a file. `None` when the length is not a whole number of elements.
    pub fn typed<T: Element>(&self) -> Option<Typed<T>> {
        let size = size_of::<T>();
        if !self.len().is_multiple_of(size) {
            return None;
        }
        let aligned = self
            .as_slice()
            .as_ptr()
            .addr()
            .is_multiple_of(align_of::<T>());
        let bytes = if aligned {
            self.clone()
        } else {
            aligned_copy(self.as_slice())
        };
        Some(Typed {
            bytes,
            element: PhantomData,
        })
    }
}

/// Copies to memory aligned for every [`Element`].
fn aligned_copy(bytes: &[u8]) -> Bytes {
    const ALIGN: usize = 8;
    let mut storage = vec![0; bytes.len() + ALIGN - 1];
    let start = storage.as_ptr().addr().wrapping_neg() % ALIGN;
    storage[start..start + bytes.len()].copy_from_slice(bytes);
    Bytes {
        source: Source::Owned(Arc::new(storage)),
        range: start..start + bytes.len(),
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.source {
            Source::Mapped(_) => "mapped",
            Source::Pages(_) | Source::Owned(_) => "owned",
        };
        write!(f, "Bytes({} {kind} bytes)", self.len())
    }
}

/// Types for which every bit pattern is valid, so that file bytes can be read as them.
pub trait Element: sealed::Sealed + Copy + Send + Sync + 'static {}
impl Element for i8 {}
impl Element for u8 {}
impl Element for u16 {}
impl Element for u32 {}
impl Element for f32 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i8 {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for f32 {}
}

/// [`Bytes`] known to be aligned for `T`; dereferences to `[T]`.
#[derive(Clone, Debug)]
pub struct Typed<T> {
    bytes: Bytes,
    element: PhantomData<T>,
}

impl<T> Typed<T> {
    /// As [`Bytes::release`].
    pub(crate) fn release(&self) {
        self.bytes.release();
    }

    /// The storage of the elements.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes of the elements.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }
}

impl<T: Element> Deref for Typed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let bytes = self.bytes.as_slice();
        // SAFETY: `Bytes::typed` checked length and alignment. The storage is immutable and does not move, because it
        // is mapped or on the heap, and lives as long as `self`. Every bit pattern is a valid `T`.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_reads_unaligned_mapped_ranges() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &(0_u8..64).collect::<Vec<_>>()).unwrap();
        // SAFETY: the temporary file has no name, so no other process writes to it.
        let map = Arc::new(unsafe { Mmap::map(&file) }.unwrap());
        for start in 0..8 {
            // SAFETY: the map is of a file, and `Mmap` has no method that writes to it.
            let bytes = unsafe { Bytes::mapped(map.clone(), start..start + 12) };
            let words = bytes.typed::<u32>().unwrap();
            assert_eq!(words.len(), 3);
            let first = start as u8;
            assert_eq!(
                words[0],
                u32::from_le_bytes([first, first + 1, first + 2, first + 3])
            );
        }
    }

    #[test]
    fn typed_rejects_a_partial_last_element() {
        assert!(Bytes::owned(vec![0; 7]).typed::<u32>().is_none());
        assert_eq!(Bytes::owned(Vec::new()).typed::<u32>().unwrap().len(), 0);
    }

    #[test]
    fn slice_range_is_relative_to_its_parent() {
        let bytes = Bytes::owned((0..10).collect()).slice(2..8).slice(1..3);
        assert_eq!(bytes.as_slice(), [3, 4]);
    }
}

//! Views of mapped memory, each of which is one buffer of the GPU.
//!
//! A mapping can be longer than the longest buffer of a GPU. It is then covered by several views that overlap by a
//! quarter of that length, so that memory of at most this size is always inside one of them, as in llama.cpp.

use std::ops::Range;

use crate::metal::{BufferRange, DeviceError};

/// The part of the longest buffer by which views overlap.
const OVERLAP: usize = 4;

/// Byte ranges of the views of a mapping of `bytes`, a multiple of `page_bytes`. They begin and end at pages, none is longer
/// than `max_bytes`, and every range of at most a quarter of `max_bytes` (rounded down to pages) is inside one of them.
pub(super) fn split(bytes: usize, max_bytes: usize, page_bytes: usize) -> Vec<Range<usize>> {
    let longest = (max_bytes / page_bytes).max(1) * page_bytes;
    let overlap = longest / OVERLAP / page_bytes * page_bytes;
    let mut views = Vec::new();
    let mut start = 0;
    loop {
        let end = bytes.min(start + longest);
        views.push(start..end);
        if end == bytes {
            return views;
        }
        start = end - overlap;
    }
}

/// A mapping and its views.
#[derive(Debug)]
pub(super) struct Mapping<B> {
    pub bytes: usize,
    pub views: Vec<View<B>>,
}

/// A buffer over a part of a mapping.
#[derive(Debug)]
pub(super) struct View<B> {
    pub range: Range<usize>,
    pub buffer: B,
    /// The residency set that it is in.
    pub residency_set: Option<usize>,
}

impl<B> Mapping<B> {
    /// The number of the view that has a range, and the offset in it.
    pub fn find(&self, range: &BufferRange) -> Result<(usize, usize), DeviceError> {
        let end = range
            .offset
            .checked_add(range.bytes)
            .filter(|end| *end <= self.bytes && range.offset < self.bytes)
            .ok_or_else(|| {
                DeviceError(format!(
                    "{} bytes at {} are not inside a mapping of {} bytes",
                    range.bytes, range.offset, self.bytes
                ))
            })?;
        self.views
            .iter()
            .position(|view| view.range.start <= range.offset && end <= view.range.end)
            .map(|view| (view, range.offset - self.views[view].range.start))
            .ok_or_else(|| {
                DeviceError(format!(
                    "{} bytes at {} are not inside one buffer of at most {} bytes",
                    range.bytes,
                    range.offset,
                    self.views[0].range.len()
                ))
            })
    }
}

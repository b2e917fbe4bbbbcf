//! What kernels load that were compiled with [`Options::trace_loads`](crate::Options::trace_loads).

use super::Dispatch;
use std::cell::RefCell;
use std::ffi::{c_ulong, c_void};
use std::mem;
use std::ops::Range;

/// What the threadgroups of a dispatch loaded from one of its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loads {
    /// The buffer index.
    pub index: usize,
    /// Different bytes that each threadgroup loaded, added up: threads of one share what one of them loads, as in a cache.
    pub threadgroup_bytes: usize,
    /// Different bytes that the dispatch loaded.
    pub dispatch_bytes: usize,
}

thread_local! {
    /// Addresses that the running threadgroup has loaded, if they are recorded.
    static RUNNING: RefCell<Option<Vec<Range<usize>>>> = const { RefCell::new(None) };
}

/// Kernels call this before each load.
pub extern "C" fn record(address: *const c_void, bytes: c_ulong) {
    let start = address.addr();
    RUNNING.with_borrow_mut(|loads| {
        if let Some(loads) = loads {
            loads.push(start..start + bytes as usize);
        }
    });
}

/// Adds what kernels load while `run` runs to `loads`.
pub fn recording<T>(loads: &mut Vec<Range<usize>>, run: impl FnOnce() -> T) -> T {
    RUNNING.set(Some(mem::take(loads)));
    let result = run();
    *loads = RUNNING.take().unwrap_or_default();
    result
}

/// The loads of one dispatch.
pub struct Trace {
    /// What is bound.
    buffers: Vec<Range<usize>>,
    loads: Vec<Loads>,
    /// What finished threadgroups have loaded.
    loaded: Vec<Range<usize>>,
}

impl Trace {
    /// No loads; a kernel that does not tell of them has no buffers here.
    pub fn new(dispatch: &Dispatch<'_>) -> Self {
        let bound = if dispatch.function.shared.trace_loads {
            dispatch.buffers.as_slice()
        } else {
            &[]
        };
        let loads = bound.iter().map(|bound| Loads {
            index: bound.index,
            threadgroup_bytes: 0,
            dispatch_bytes: 0,
        });
        let buffers = bound.iter().map(|bound| {
            let start = bound.pointer.addr();
            start..start + bound.bytes
        });
        Self {
            buffers: buffers.collect(),
            loads: loads.collect(),
            loaded: Vec::new(),
        }
    }

    /// Adds the loads of a threadgroup.
    pub fn add(&mut self, loads: Vec<Range<usize>>) {
        let loads = union(loads);
        for (buffer, sum) in self.buffers.iter().zip(&mut self.loads) {
            sum.threadgroup_bytes += bytes_within(&loads, buffer);
        }
        self.loaded.extend(loads);
    }

    /// The loads of all threadgroups.
    pub fn finish(mut self) -> Vec<Loads> {
        let loaded = union(self.loaded);
        for (buffer, sum) in self.buffers.iter().zip(&mut self.loads) {
            sum.dispatch_bytes = bytes_within(&loaded, buffer);
        }
        self.loads
    }
}

/// The same addresses in ascending ranges that do not overlap.
fn union(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut union: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match union.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => union.push(range),
        }
    }
    union
}

/// How many addresses of a union are in a buffer.
fn bytes_within(union: &[Range<usize>], buffer: &Range<usize>) -> usize {
    let first = union.partition_point(|range| range.end <= buffer.start);
    let overlapping = union[first..]
        .iter()
        .take_while(|range| range.start < buffer.end);
    overlapping
        .map(|range| range.end.min(buffer.end) - range.start.max(buffer.start))
        .sum()
}

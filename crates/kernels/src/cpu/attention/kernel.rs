//! The arithmetic of a work item, chunk by chunk.

use std::ops::Range;

use super::{
    super::{
        prefetch,
        simd::{Isa, LANES, multiversion},
    },
    Job, MAX_VECTORS, Query, Split, WorkItem, clip,
    dot_products::{FEW, Rows, add_weighted_values, max_vectors, score},
    softmax::{SoftmaxState, cap_scores, merge, normalize, softmax_weights},
    tile::{F16Tile, F32Tile, Int8Tile, Keys, TileFormat, Values},
};

use crate::KvCacheDtype;

pub(super) const F32: u8 = 0;
pub(super) const F16: u8 = 1;
pub(super) const INT8: u8 = 2;

/// Number of tiles between a tile and the one that is prefetched.
const AHEAD: usize = 2;

multiversion! {
    /// Computes the chunks of a split: the item's result, or partial results if the item has several splits.
    ///
    /// `DTYPE` is the type of the cache; each gets a specialized function.
    pub(super) attend [const DTYPE: u8] [DTYPE]
    (job: &Job<'_>, item: &WorkItem<'_>, split: &Split, scratch: &mut Vec<f32>) = attend_with
}

multiversion! {
    /// Combines the partial results of a split item, which are at `partials`.
    pub(super) combine [] []
    (job: &Job<'_>, item: &WorkItem<'_>, partials: usize, scratch: &mut Vec<f32>) = combine_with
}

/// # Safety
/// The CPU supports `I`, and `DTYPE` is the type of the cache. No thread writes the blocks of the item. No other
/// thread computes this split or accesses its results: its part of `job.partials`, or the outputs of the item if it
/// is not split.
#[inline(always)]
unsafe fn attend_with<I: Isa, const DTYPE: u8>(
    job: &Job<'_>,
    item: &WorkItem<'_>,
    split: &Split,
    scratch: &mut Vec<f32>,
) {
    // SAFETY: the contract of this function; `DTYPE` selects the format of the cache.
    unsafe {
        match DTYPE {
            F32 => attend_tiles::<I, F32Tile>(job, item, split, scratch),
            F16 => attend_tiles::<I, F16Tile>(job, item, split, scratch),
            _ => attend_tiles::<I, Int8Tile>(job, item, split, scratch),
        }
    }
}

/// # Safety
/// As for [`attend_with`]; `S` is the format of the cache.
#[inline(always)]
unsafe fn attend_tiles<I: Isa, S: TileFormat<I>>(
    job: &Job<'_>,
    item: &WorkItem<'_>,
    split: &Split,
    scratch: &mut Vec<f32>,
) {
    let padded = job.cache.value_stride();
    let count = item.vectors.len();
    let (workspace, values) = Workspace::new::<I>(job, item, scratch);
    let parts = workspace.parts;
    let mut sums = [SoftmaxState::EMPTY; MAX_VECTORS];
    values.fill(0.0);
    for chunk in split.chunks.clone() {
        // SAFETY: the contract of this function. The methods of the workspace are called in the required order, and
        // its rows are part of `scratch`, initialized, and not borrowed elsewhere. `partials.part` checks that the
        // result of a vector has `partial_len` elements there: two and `padded` values.
        unsafe {
            workspace.score_chunk::<I, S>(chunk);
            let states = workspace.chunk_weights::<I>(chunk);
            workspace.add_chunk_values::<I, S>(chunk);
            for vector in 0..count {
                let part = std::slice::from_raw_parts(parts.from(vector).start, padded);
                if let Some(start) = split.partials {
                    let len = job.partial_len();
                    let index = (chunk - split.chunks.start) * count + vector;
                    let to = job.partials.part(start + index * len, len);
                    to.write(states[vector].max);
                    to.add(1).write(states[vector].sum);
                    part.as_ptr().copy_to_nonoverlapping(to.add(2), padded);
                } else {
                    let values = &mut values[vector * padded..][..padded];
                    merge::<I>(&mut sums[vector], values, states[vector], part);
                }
            }
        }
    }
    if split.partials.is_none() {
        for vector in 0..count {
            let values = &mut values[vector * padded..][..padded];
            // SAFETY: the CPU supports `I` by the contract of this function, and no other item contains the vector.
            unsafe { write_output::<I>(job, workspace.queries[vector].at, sums[vector], values) };
        }
    }
}

/// # Safety
/// The CPU supports `I`. The partial results of all chunks of the item have been written from `partials` on, and no
/// thread writes them. No other thread accesses the outputs of the item.
#[inline(always)]
unsafe fn combine_with<I: Isa>(
    job: &Job<'_>,
    item: &WorkItem<'_>,
    partials: usize,
    scratch: &mut Vec<f32>,
) {
    let (padded, len) = (job.cache.value_stride(), job.partial_len());
    let count = item.vectors.len();
    if scratch.len() < padded {
        scratch.resize(padded, 0.0);
    }
    let values = &mut scratch[..padded];
    for vector in 0..count {
        let mut sum = SoftmaxState::EMPTY;
        values.fill(0.0);
        for chunk in 0..item.chunks.len() {
            let at = partials + (chunk * count + vector) * len;
            // SAFETY: the contract of this function.
            let part = unsafe { job.partials.slice(at, len) };
            let state = SoftmaxState {
                max: part[0],
                sum: part[1],
            };
            merge::<I>(&mut sum, values, state, &part[2..]);
        }
        // SAFETY: the contract of this function; no other item contains the vector.
        unsafe { write_output::<I>(job, item.query(job.spec, vector).at, sum, values) };
    }
}

/// Writes the result of the query vector `at`.
///
/// # Safety
/// The CPU supports `I`. `values` has at least `value_dim` elements, and no other thread accesses the output of the
/// vector.
#[inline(always)]
unsafe fn write_output<I: Isa>(job: &Job<'_>, at: usize, sum: SoftmaxState, values: &mut [f32]) {
    let spec = job.spec;
    let sink = spec.sinks.as_ref();
    let sink = sink.map(|sinks| sinks.as_slice()[at % spec.heads]);
    normalize::<I>(sum, sink, values);
    // SAFETY: the contract of this function.
    let out = unsafe { job.out.part(at * spec.value_dim, spec.value_dim) };
    out.copy_from_slice(&values[..spec.value_dim]);
}

/// Query vectors that are processed together, in order of their rows: neither start nor end of their visible ranges
/// decreases.
#[derive(Clone, Copy)]
struct Pass {
    /// Index of the first.
    first: usize,
    count: usize,
}

/// Full passes, then one or more smaller ones for the rest.
fn passes(count: usize, max: usize) -> impl Iterator<Item = Pass> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let rest = count - first;
        let pass = Pass {
            first,
            count: if rest >= max { max } else { rest.min(FEW) },
        };
        first += pass.count;
        (rest > 0).then_some(pass)
    })
}

/// The memory in which an item is computed.
struct Workspace<'a> {
    job: &'a Job<'a>,
    item: &'a WorkItem<'a>,
    queries: [Query; MAX_VECTORS],
    /// Vectors of a full pass.
    max_vectors: usize,
    /// The query vectors.
    q: [*const f32; MAX_VECTORS],
    /// Scores of a chunk, then its weights.
    scores: Rows,
    /// Weighted values of a chunk.
    parts: Rows,
}

impl<'a> Workspace<'a> {
    /// Also returns a `[vectors, padded]` part of the scratch memory.
    #[inline(always)]
    fn new<I: Isa>(
        job: &'a Job<'a>,
        item: &'a WorkItem<'a>,
        scratch: &'a mut Vec<f32>,
    ) -> (Self, &'a mut [f32]) {
        let (dim, padded) = (job.spec.head_dim, job.cache.value_stride());
        let stride = job.cache.stride();
        let count = item.vectors.len();
        // Rows of a multiple of 4 KiB would map to few sets of the L1 cache.
        let width = job.chunk_blocks() * stride + LANES;
        let len = count * (width + 2 * padded);
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        let (scores, rest) = scratch.split_at_mut(count * width);
        let (parts, rest) = rest.split_at_mut(count * padded);
        let values = &mut rest[..count * padded];

        let mut queries = [Query::default(); MAX_VECTORS];
        for (index, query) in queries[..count].iter_mut().enumerate() {
            *query = item.query(job.spec, index);
        }
        let mut q = [std::ptr::null(); MAX_VECTORS];
        for (q, query) in q.iter_mut().zip(&queries[..count]) {
            *q = job.q[query.at * dim..][..dim].as_ptr();
        }
        let workspace = Self {
            job,
            item,
            queries,
            max_vectors: max_vectors::<I>(),
            q,
            scores: Rows {
                start: scores.as_mut_ptr(),
                width,
            },
            parts: Rows {
                start: parts.as_mut_ptr(),
                width: padded,
            },
        };
        (workspace, values)
    }

    fn passes(&self) -> impl Iterator<Item = Pass> + use<> {
        passes(self.item.vectors.len(), self.max_vectors)
    }

    /// The part of `positions` visible to any vector of a pass, relative to their start.
    #[inline(always)]
    fn seen(&self, pass: Pass, positions: &Range<usize>) -> Range<usize> {
        let last = pass.first + pass.count - 1;
        clip(
            self.queries[pass.first].start..self.queries[last].end,
            positions,
        )
    }

    /// The tile that is [`AHEAD`] tiles after tile `index` of a chunk: first come the keys of its blocks, then their
    /// values, then the keys of the next chunk; `current` after the last. Tiles are too short for the hardware
    /// prefetcher.
    #[inline(always)]
    fn next<I: Isa>(&self, chunk: usize, index: usize, current: *const u8) -> *const u8 {
        let cache = self.job.cache;
        let seen = self.blocks_seen(chunk);
        let index = index + AHEAD;
        let (block, values) = if index < seen.len() {
            (seen.start + index, false)
        } else if index < 2 * seen.len() {
            (seen.start + index - seen.len(), true)
        } else {
            (seen.end + index - 2 * seen.len(), false)
        };
        let end = self.queries[self.item.vectors.len() - 1].end;
        if block * cache.shape().block_size >= end {
            return current;
        }
        let block = self.item.span.blocks[block] as usize;
        let (start, scales) = if values {
            let elements = cache.stride() * cache.value_stride();
            (
                cache.values(block, self.item.kv_head),
                elements..cache.tile_bytes()[1],
            )
        } else {
            let elements = cache.stride() * self.job.spec.head_dim;
            (
                cache.keys(block, self.item.kv_head),
                elements..cache.tile_bytes()[0],
            )
        };
        if cache.dtype() == KvCacheDtype::Int8 {
            prefetch::prefetch(start, scales);
        }
        start
    }

    /// The blocks of a chunk visible to any vector.
    #[inline(always)]
    fn blocks_seen(&self, chunk: usize) -> Range<usize> {
        let size = self.job.cache.shape().block_size;
        let all = Pass {
            first: 0,
            count: self.item.vectors.len(),
        };
        let positions = self.positions(chunk);
        let seen = self.seen(all, &positions);
        (positions.start + seen.start) / size..(positions.start + seen.end).div_ceil(size)
    }

    /// The seen blocks of a chunk: the block, its column among the scores, and its positions.
    #[inline(always)]
    fn blocks(&self, chunk: usize) -> impl Iterator<Item = (usize, usize, Range<usize>)> {
        let (size, stride) = (self.job.cache.shape().block_size, self.job.cache.stride());
        let first = chunk * self.job.chunk_blocks();
        self.blocks_seen(chunk).map(move |block| {
            let physical = self.item.span.blocks[block] as usize;
            let start = block * size;
            (physical, (block - first) * stride, start..start + size)
        })
    }

    fn positions(&self, chunk: usize) -> Range<usize> {
        let len = self.job.chunk_positions();
        chunk * len..(chunk + 1) * len
    }

    /// Writes the scores of a chunk.
    ///
    /// # Safety
    /// The CPU supports `I`, and `S` is the format of the cache. No thread writes the blocks of the chunk, and no
    /// other thread uses the workspace.
    #[inline(always)]
    unsafe fn score_chunk<I: Isa, S: TileFormat<I>>(&self, chunk: usize) {
        let (cache, spec) = (self.job.cache, self.job.spec);
        for (index, (block, column, positions)) in self.blocks(chunk).enumerate() {
            let start = cache.keys(block, self.item.kv_head);
            let keys = Keys {
                start,
                next: self.next::<I>(chunk, index, start),
                dim: spec.head_dim,
                stride: cache.stride(),
            };
            // SAFETY: the contract of this function. `start` is a tile of the cache, whose block size is at most its
            // stride, and the query vectors have `head_dim` elements. The rows have room for the tiles of a chunk, of
            // which this one is at `column`.
            unsafe {
                for pass in self.passes() {
                    let seen = self.seen(pass, &positions);
                    let q = &self.q[pass.first..][..pass.count];
                    let to = self.scores.from(pass.first).skip(column);
                    score::<I, S>(keys, q, seen, spec.scale, to);
                }
            }
        }
    }

    /// Replaces the scores of a chunk by weights.
    ///
    /// # Safety
    /// The CPU supports `I`. [`Workspace::score_chunk`] has run for this chunk. No reference to the scores exists,
    /// and no other thread uses the workspace.
    #[inline(always)]
    unsafe fn chunk_weights<I: Isa>(&self, chunk: usize) -> [SoftmaxState; MAX_VECTORS] {
        let (stride, size) = (self.job.cache.stride(), self.job.cache.shape().block_size);
        let positions = self.positions(chunk);
        let column = |position: usize| position / size * stride + position % size;
        let mut states = [SoftmaxState::EMPTY; MAX_VECTORS];
        for vector in 0..self.item.vectors.len() {
            let query = &self.queries[vector];
            let seen = clip(query.start..query.end, &positions);
            if seen.is_empty() {
                continue;
            }
            let row = self.scores.from(vector);
            // SAFETY: the row is part of the scratch memory, which is initialized and has `width` elements for it. No
            // other reference to it exists by the contract of this function.
            let scores = unsafe { std::slice::from_raw_parts_mut(row.start, row.width) };
            let (from, to) = (column(seen.start), column(seen.end - 1) + 1);
            if let Some(cap) = self.job.spec.softcap {
                cap_scores::<I>(cap, &mut scores[from..to]);
            }
            if stride != size {
                for block in seen.start / size..seen.end.div_ceil(size) {
                    scores[block * stride + size..(block + 1) * stride].fill(f32::NEG_INFINITY);
                }
            }
            // SAFETY: the CPU supports `I` by the contract of this function.
            states[vector] = unsafe { softmax_weights::<I>(scores, from, to) };
        }
        states
    }

    /// Writes the weighted values of a chunk.
    ///
    /// # Safety
    /// As for [`Workspace::score_chunk`]; [`Workspace::chunk_weights`] has run for this chunk, and no reference to
    /// the weights or the weighted values exists.
    #[inline(always)]
    unsafe fn add_chunk_values<I: Isa, S: TileFormat<I>>(&self, chunk: usize) {
        let cache = self.job.cache;
        let count = self.item.vectors.len();
        // SAFETY: the contract of this function. `start` is a tile of the cache, which holds the positions of the
        // block. The scores of positions that a vector sees are now weights. The weighted values have `padded`
        // elements for each vector.
        unsafe {
            self.parts.start.write_bytes(0, count * self.parts.width);
            let blocks = self.blocks_seen(chunk).len();
            for (index, (block, column, positions)) in self.blocks(chunk).enumerate() {
                let start = cache.values(block, self.item.kv_head);
                let values = Values {
                    start,
                    next: self.next::<I>(chunk, blocks + index, start),
                    stride: cache.stride(),
                    padded: cache.value_stride(),
                    scales: cache.dtype().scales(self.job.spec.value_dim),
                };
                for pass in self.passes() {
                    let queries = &self.queries[pass.first..][..pass.count];
                    let weights = self.scores.from(pass.first).skip(column);
                    let to = self.parts.from(pass.first);
                    add_weighted_values::<I, S>(values, queries, &positions, weights, to);
                }
            }
        }
    }
}

//! Attention over paged keys and values, in the style of flash attention and flash-decoding.
//!
//! A [`WorkItem`] is the query heads of a few consecutive rows that share a key/value head: keys and values are read
//! once for all of them. Positions are cut at absolute multiples of about [`CHUNK`] into chunks. For each query
//! vector, a chunk gives the largest score, the sum of the weights relative to it, and the weighted sum of the
//! values. Chunks are merged in ascending order with the online softmax, so a full row of scores never exists. If an
//! item is a large part of the call, its chunks are split among threads (split-KV) and combined when all are done,
//! with the same result. What is computed for a row depends only on its own position and the block size.

mod dot_products;
mod kernel;
mod plan;
mod softmax;
mod tile;

use std::{cell::RefCell, ops::Range, sync::Arc};

use super::{Cpu, kv_cache::CpuKvCache};
use crate::{
    AttentionSpec, KernelError, KvCacheDtype, KvSpan,
    rows::Arena,
    shared::{Scratch, SharedOutput},
};
use kernel::{F16, F32, INT8, attend, combine};
use plan::{Plan, Split};

/// Positions of a chunk, when the block size divides it.
const CHUNK: usize = 256;

/// Maximum number of query vectors of an item.
const MAX_VECTORS: usize = 32;

/// Calls with fewer multiply-adds run on the calling thread.
const MIN_PARALLEL_COST: usize = 1 << 17;

thread_local! {
    /// Scratch memory of [`attend`] and [`combine`]; its size does not depend on the sequence length.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of scratch memory of this thread.
#[cfg(test)]
pub(crate) fn scratch_bytes() -> usize {
    SCRATCH.with_borrow(|scratch| size_of_val(scratch.as_slice()))
}

/// One call.
struct Job<'a> {
    q: &'a [f32],
    cache: &'a CpuKvCache,
    spec: &'a AttentionSpec,
    /// `[rows, heads · value_dim]`.
    out: SharedOutput<'a>,
    /// Partial results of split items, for each chunk `[vectors, 2 + padded value_dim]`: largest score, sum of
    /// weights, values.
    partials: Scratch<f32>,
}

/// Query vectors of one sequence that share a key/value head. Vector `i` of a span and key/value head belongs to row
/// `i / heads per key/value head`.
struct WorkItem<'a> {
    span: &'a KvSpan<'a>,
    kv_head: usize,
    vectors: Range<usize>,
    /// Chunks that are visible to any of the vectors.
    chunks: Range<usize>,
    /// Multiply-adds.
    cost: usize,
}

/// One query vector.
#[derive(Clone, Copy, Default)]
struct Query {
    /// Index into the `[rows · heads]` query vectors.
    at: usize,
    /// First visible position.
    start: usize,
    /// One past the last visible position.
    end: usize,
}

impl WorkItem<'_> {
    /// Query vector `index` of the item.
    fn query(&self, spec: &AttentionSpec, index: usize) -> Query {
        let span = self.span;
        let per_head = spec.heads / spec.kv_heads;
        let vector = self.vectors.start + index;
        let (row, head) = (vector / per_head, vector % per_head);
        let end = span.first_position + span.rows.len();
        let visible = spec.visible(span.mask, span.first_position + row, end);
        Query {
            at: (span.rows.start + row) * spec.heads + self.kv_head * per_head + head,
            start: visible.start,
            end: visible.end,
        }
    }
}

impl Job<'_> {
    /// Blocks of a chunk.
    fn chunk_blocks(&self) -> usize {
        (CHUNK / self.cache.shape().block_size).max(1)
    }

    /// Positions of a chunk.
    fn chunk_positions(&self) -> usize {
        self.chunk_blocks() * self.cache.shape().block_size
    }

    /// Floats of the partial result of a vector.
    fn partial_len(&self) -> usize {
        2 + self.cache.value_stride()
    }
}

/// The part of `range` inside `bounds`, relative to their start; empty ranges have their ends in order.
#[inline(always)]
fn clip(range: Range<usize>, bounds: &Range<usize>) -> Range<usize> {
    let start = range.start.max(bounds.start) - bounds.start;
    let end = range.end.clamp(bounds.start, bounds.end) - bounds.start;
    start.min(end)..end
}

/// Writes attention as [`crate::reference::attention`] defines it to `out`; arguments have been checked.
/// Partial results are in `arena`.
pub(crate) fn attention(
    cpu: &Cpu,
    arena: &Arc<Arena>,
    q: &[f32],
    cache: &CpuKvCache,
    spans: &[KvSpan<'_>],
    spec: &AttentionSpec,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let rows = q.len() / (spec.heads * spec.head_dim);
    let width = spec.heads * spec.value_dim;
    assert!(out.len() == rows * width);
    let mut job = Job {
        q,
        cache,
        spec,
        out: SharedOutput::new(out),
        partials: Scratch::new(arena, 0)?,
    };
    let plan = Plan::new(&job, spans, cpu.threads());
    job.partials = Scratch::new(arena, plan.partials_len)?;

    let mut covered = 0;
    let spanned = spans.iter().map(|span| (span.rows.start, span.rows.end));
    for (start, end) in spanned.chain([(rows, rows)]) {
        let len = (start - covered) * width;
        // SAFETY: no other thread accesses the output yet.
        unsafe { job.out.part(covered * width, len) }.fill(0.0);
        covered = end;
    }
    let task = |phase: usize, index: usize| {
        SCRATCH.with_borrow_mut(|scratch| {
            // SAFETY: the CPU supports `cpu.level`, which was detected. The cache is borrowed, so no thread writes
            // it. Items have different query vectors and splits different chunks, and each is computed by one task.
            // The second phase starts when all chunks have been written.
            unsafe {
                if phase == 0 {
                    let Split { item, .. } = &plan.splits[index];
                    let (item, split) = (&plan.items[*item], &plan.splits[index]);
                    match cache.dtype() {
                        KvCacheDtype::F32 => attend::<F32>(cpu.level, &job, item, split, scratch),
                        KvCacheDtype::F16 => attend::<F16>(cpu.level, &job, item, split, scratch),
                        KvCacheDtype::Int8 => attend::<INT8>(cpu.level, &job, item, split, scratch),
                    }
                } else {
                    let (item, partials) = plan.split_items[index];
                    combine(cpu.level, &job, &plan.items[item], partials, scratch);
                }
            }
        });
    };
    if plan.cost < MIN_PARALLEL_COST {
        (0..plan.splits.len()).for_each(|index| task(0, index));
    } else {
        cpu.pool
            .parallel_phases(&[plan.splits.len(), plan.split_items.len()], &task);
    }
    Ok(())
}

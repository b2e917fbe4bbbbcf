//! Attention over paged keys and values.
//!
//! The query heads that share a key/value head, of a few consecutive rows, are worked on together, so keys and values
//! are read once for all of them. Blocks are visited in order with a running maximum and sum; a row of scores never
//! exists as a whole. What is computed for a row depends on its own position and the block size alone.

use std::{cell::RefCell, ops::Range};

use super::{
    Cpu, math,
    shared::SharedOutput,
    simd::{Isa, LANES, versions},
};
use crate::{AttentionSpec, KvCache, KvSpan};

/// Query vectors worked on together.
const TOGETHER: usize = 4;

thread_local! {
    /// Scores of a block, then weighted sums of values.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

struct Job<'a> {
    q: &'a [f32],
    cache: &'a KvCache,
    spec: &'a AttentionSpec,
    out: SharedOutput<'a>,
}

/// Up to [`TOGETHER`] query vectors of one key/value head. Vector `i` of a span and key/value head belongs to row
/// `i / heads per key/value head`.
struct Task<'a> {
    span: &'a KvSpan<'a>,
    kv_head: usize,
    vectors: Range<usize>,
}

/// One query vector.
#[derive(Clone)]
struct Query {
    /// Index into the `[rows · heads]` query vectors.
    at: usize,
    visible: Range<usize>,
    /// The largest score so far.
    max: f32,
}

/// Attention as [`crate::reference::attention`] defines it; arguments have been checked.
pub(crate) fn attention(
    cpu: &Cpu,
    q: &[f32],
    cache: &KvCache,
    spans: &[KvSpan<'_>],
    spec: &AttentionSpec,
) -> Vec<f32> {
    let rows = q.len() / (spec.heads * spec.head_dim);
    let mut out = vec![0.0; rows * spec.heads * spec.value_dim];
    let job = Job {
        q,
        cache,
        spec,
        out: SharedOutput::new(&mut out),
    };
    let mut tasks = Vec::new();
    for span in spans {
        let count = span.rows.len() * (spec.heads / spec.kv_heads);
        for first in (0..count).step_by(TOGETHER) {
            let vectors = first..count.min(first + TOGETHER);
            tasks.extend((0..spec.kv_heads).map(|kv_head| Task {
                span,
                kv_head,
                vectors: vectors.clone(),
            }));
        }
    }
    // The last rows of a prompt see the most, so they are begun with.
    tasks.reverse();
    cpu.pool.parallel_for(tasks.len(), &|index| {
        let task = &tasks[index];
        SCRATCH.with_borrow_mut(|scratch| {
            // SAFETY: the level was detected; tasks have disjoint query vectors.
            unsafe {
                match task.vectors.len() {
                    1 => attend::<1>(cpu.level, &job, task, scratch),
                    2 => attend::<2>(cpu.level, &job, task, scratch),
                    3 => attend::<3>(cpu.level, &job, task, scratch),
                    _ => attend::<4>(cpu.level, &job, task, scratch),
                }
            }
        });
    });
    out
}

versions! {
    /// Computes `R` query vectors.
    attend [const R: usize] [R]
    (job: &Job<'_>, task: &Task<'_>, scratch: &mut Vec<f32>) = attend_with
}

#[inline(always)]
unsafe fn attend_with<I: Isa, const R: usize>(
    job: &Job<'_>,
    task: &Task<'_>,
    scratch: &mut Vec<f32>,
) {
    let &Job { cache, spec, .. } = job;
    let (block_size, stride) = (cache.shape().block_size, cache.stride());
    let padded = spec.value_dim.next_multiple_of(LANES);
    scratch.clear();
    scratch.resize(R * (stride + padded), 0.0);
    let (scores, sums) = scratch.split_at_mut(R * stride);

    let mut queries: [Query; R] = std::array::from_fn(|r| query(spec, task, r));
    let start = queries.iter().map(|q| q.visible.start).min().unwrap_or(0);
    let end = queries.iter().map(|q| q.visible.end).max().unwrap_or(0);
    // SAFETY: the caller's promise; `scores` holds R rows of `stride`, `sums` R rows of `padded`.
    unsafe {
        let mut totals = [I::splat(0.0); R];
        for logical in start / block_size..end.div_ceil(block_size) {
            let first = logical * block_size;
            let seen: [Range<usize>; R] = std::array::from_fn(|r| {
                let visible = &queries[r].visible;
                let start = visible.start.max(first) - first;
                let end = visible.end.min(first + block_size).max(first) - first;
                start.min(end)..end
            });
            let block = task.span.blocks[logical] as usize;
            let keys = cache.keys(block, task.kv_head);
            score::<I, R>(job, &queries, keys, &seen, scores);
            for r in 0..R {
                let scores = &mut scores[r * stride..][..stride];
                let sums = &mut sums[r * padded..][..padded];
                weigh::<I>(
                    spec,
                    &mut queries[r],
                    &seen[r],
                    scores,
                    sums,
                    &mut totals[r],
                );
            }
            let values = cache.values(block, task.kv_head);
            gather::<I, R>(values, padded, stride, &seen, scores, sums);
        }
        for r in 0..R {
            let Query { at, max, .. } = queries[r];
            let mut total = I::sum(totals[r]);
            if let Some(sinks) = &spec.sinks {
                total += math::exp::<I>(sinks.as_slice()[at % spec.heads] - max);
            }
            let out = job.out.part(at * spec.value_dim, spec.value_dim);
            for (out, sum) in out.iter_mut().zip(&sums[r * padded..]) {
                *out = sum / total;
            }
        }
    }
}

#[inline(always)]
fn query(spec: &AttentionSpec, task: &Task<'_>, r: usize) -> Query {
    let span = task.span;
    let per_head = spec.heads / spec.kv_heads;
    let vector = task.vectors.start + r;
    let (row, head) = (
        vector / per_head,
        task.kv_head * per_head + vector % per_head,
    );
    let end = span.first_position + span.rows.len();
    Query {
        at: (span.rows.start + row) * spec.heads + head,
        visible: spec.visible(span.mask, span.first_position + row, end),
        max: spec
            .sinks
            .as_ref()
            .map_or(f32::NEG_INFINITY, |sinks| sinks.as_slice()[head]),
    }
}

/// The products of `R` queries with the keys of a block, sixteen positions at a time.
#[inline(always)]
unsafe fn score<I: Isa, const R: usize>(
    job: &Job<'_>,
    queries: &[Query; R],
    keys: &[f32],
    seen: &[Range<usize>; R],
    scores: &mut [f32],
) {
    let (dim, stride) = (job.spec.head_dim, job.cache.stride());
    let start = seen.iter().map(|seen| seen.start).min().unwrap_or(0) / LANES * LANES;
    let end = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
    let mut vectors = [std::ptr::null(); R];
    for r in 0..R {
        vectors[r] = job.q[queries[r].at * dim..][..dim].as_ptr();
    }
    for run in (start..end).step_by(LANES) {
        // SAFETY: `keys` holds `dim` rows of `stride` positions, a multiple of sixteen; `vectors` have `dim` elements.
        unsafe {
            let keys = keys.as_ptr().add(run);
            // Even and odd elements apart, so that two sums are under way at a time.
            let mut sums = [[I::splat(0.0); R]; 2];
            for element in 0..dim / 2 {
                for part in 0..2 {
                    let element = 2 * element + part;
                    let key = I::load(keys.add(element * stride));
                    for r in 0..R {
                        let q = I::splat(*vectors[r].add(element));
                        sums[part][r] = I::fma(q, key, sums[part][r]);
                    }
                }
            }
            if dim % 2 == 1 {
                let key = I::load(keys.add((dim - 1) * stride));
                for r in 0..R {
                    let q = I::splat(*vectors[r].add(dim - 1));
                    sums[0][r] = I::fma(q, key, sums[0][r]);
                }
            }
            for r in 0..R {
                let sum = I::mul(I::add(sums[0][r], sums[1][r]), I::splat(job.spec.scale));
                I::store(scores[r * stride + run..][..LANES].as_mut_ptr(), sum);
            }
        }
    }
}

/// Turns the scores of the seen positions into weights relative to the largest score so far, which rescales what was
/// summed before.
#[inline(always)]
unsafe fn weigh<I: Isa>(
    spec: &AttentionSpec,
    query: &mut Query,
    seen: &Range<usize>,
    scores: &mut [f32],
    sums: &mut [f32],
    totals: &mut I::V,
) {
    if seen.is_empty() {
        return;
    }
    if let Some(cap) = spec.softcap {
        for score in &mut scores[seen.clone()] {
            *score = cap * math::tanh::<I>(*score / cap);
        }
    }
    let runs = seen.start / LANES * LANES..seen.end.next_multiple_of(LANES);
    scores[runs.start..seen.start].fill(f32::NEG_INFINITY);
    scores[seen.end..runs.end].fill(f32::NEG_INFINITY);
    let scores = &mut scores[runs];
    let mut largest = [f32::NEG_INFINITY; LANES];
    for run in scores.chunks_exact(LANES) {
        for lane in 0..LANES {
            largest[lane] = largest[lane].max(run[lane]);
        }
    }
    let max = largest.into_iter().fold(query.max, f32::max);
    // SAFETY: the caller's promise; runs are of sixteen.
    unsafe {
        if max > query.max {
            let factor = math::exp::<I>(query.max - max);
            for sum in sums {
                *sum *= factor;
            }
            *totals = I::mul(*totals, I::splat(factor));
            query.max = max;
        }
        for run in scores.chunks_exact_mut(LANES) {
            for score in run.iter_mut() {
                *score = math::exp::<I>(*score - max);
            }
            *totals = I::add(*totals, I::load(run.as_ptr()));
        }
    }
}

/// Adds the weighted values of the seen positions of a block.
///
/// Each query takes its positions in ascending order and no other: a value that it does not see may be anything.
#[inline(always)]
unsafe fn gather<I: Isa, const R: usize>(
    values: &[f32],
    padded: usize,
    stride: usize,
    seen: &[Range<usize>; R],
    weights: &[f32],
    sums: &mut [f32],
) {
    let start = seen.iter().map(|seen| seen.start).max().unwrap_or(0);
    let end = seen
        .iter()
        .map(|seen| seen.end)
        .min()
        .unwrap_or(0)
        .max(start);
    // SAFETY: the ranges lie inside of the block; rows have the lengths that `attend_with` gave them.
    unsafe {
        let add_alone = |r: usize, positions: Range<usize>, sums: &mut [f32]| {
            let sums = &mut sums[r * padded..][..padded];
            for position in positions {
                let weight = weights[r * stride + position];
                let value = &values[position * padded..][..padded];
                for (sum, value) in sums.iter_mut().zip(value) {
                    *sum = I::fma1(weight, *value, *sum);
                }
            }
        };
        for r in 0..R {
            add_alone(r, seen[r].start..seen[r].end.min(start), sums);
        }
        let (values, weights) = (values.as_ptr(), weights.as_ptr());
        let to = sums.as_mut_ptr();
        for column in (0..padded).step_by(LANES) {
            let mut parts = [I::splat(0.0); R];
            for r in 0..R {
                parts[r] = I::load(to.add(r * padded + column));
            }
            for position in start..end {
                let value = I::load(values.add(position * padded + column));
                for r in 0..R {
                    let weight = I::splat(*weights.add(r * stride + position));
                    parts[r] = I::fma(weight, value, parts[r]);
                }
            }
            for r in 0..R {
                I::store(to.add(r * padded + column), parts[r]);
            }
        }
        for r in 0..R {
            add_alone(r, seen[r].start.max(end)..seen[r].end, sums);
        }
    }
}

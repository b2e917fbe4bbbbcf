//! Splitting a call into work for threads.

use std::{cmp::Reverse, ops::Range};

use super::{Job, MAX_VECTORS, MIN_PARALLEL_COST, WorkItem};
use crate::KvSpan;

/// Splits per thread for an even load.
const SPLITS_PER_THREAD: usize = 4;

/// A range of chunks of an item, computed by one thread.
pub(super) struct Split {
    pub item: usize,
    pub chunks: Range<usize>,
    /// Index of the first partial result if the item is split.
    pub partials: Option<usize>,
}

pub(super) struct Plan<'a> {
    pub items: Vec<WorkItem<'a>>,
    /// Longest first.
    pub splits: Vec<Split>,
    /// Items with several splits, and the index of their partial results.
    pub split_items: Vec<(usize, usize)>,
    /// Floats of all partial results.
    pub partials_len: usize,
    /// Multiply-adds.
    pub cost: usize,
}

impl<'a> Plan<'a> {
    pub fn new(job: &Job<'_>, spans: &'a [KvSpan<'a>], threads: usize) -> Self {
        let mut items = Vec::new();
        for span in spans {
            let count = span.rows.len() * (job.spec.heads / job.spec.kv_heads);
            for first in (0..count).step_by(MAX_VECTORS) {
                let vectors = first..count.min(first + MAX_VECTORS);
                items.extend(
                    (0..job.spec.kv_heads).map(|kv_head| item(job, span, kv_head, vectors.clone())),
                );
            }
        }
        let cost = items.iter().map(|item| item.cost).sum();
        let mut plan = Self {
            items,
            splits: Vec::new(),
            split_items: Vec::new(),
            partials_len: 0,
            cost,
        };
        for index in 0..plan.items.len() {
            let item = &plan.items[index];
            // Items not much larger than a split stay whole, to keep the number of partial results small.
            let share = item.cost * SPLITS_PER_THREAD * threads / cost.max(1);
            let count = if threads > 1 && share > 1 && cost >= MIN_PARALLEL_COST {
                share.min(item.chunks.len())
            } else {
                1
            };
            plan.split(job, index, count);
        }
        let (items, chunk) = (&plan.items, |item: &WorkItem<'_>| {
            item.cost / item.chunks.len().max(1)
        });
        plan.splits
            .sort_by_key(|split| Reverse(split.chunks.len() * chunk(&items[split.item])));
        plan
    }

    /// Divides the chunks of item `index` evenly into `count` splits.
    fn split(&mut self, job: &Job<'_>, index: usize, count: usize) {
        let item = &self.items[index];
        let (start, len) = (item.chunks.start, item.chunks.len());
        let part_len = item.vectors.len() * job.partial_len();
        let partials = self.partials_len;
        if count > 1 {
            self.split_items.push((index, partials));
            self.partials_len += len * part_len;
        }
        self.splits.extend((0..count).map(|split| {
            let chunks = split * len / count..(split + 1) * len / count;
            Split {
                item: index,
                partials: (count > 1).then_some(partials + chunks.start * part_len),
                chunks: start + chunks.start..start + chunks.end,
            }
        }));
    }
}

fn item<'a>(
    job: &Job<'_>,
    span: &'a KvSpan<'a>,
    kv_head: usize,
    vectors: Range<usize>,
) -> WorkItem<'a> {
    let mut item = WorkItem {
        span,
        kv_head,
        vectors,
        chunks: 0..0,
        cost: 0,
    };
    let count = item.vectors.len();
    let (first, last) = (item.query(job.spec, 0), item.query(job.spec, count - 1));
    let chunk = job.chunk_positions();
    item.chunks = first.start / chunk..last.end.div_ceil(chunk);
    let dims = job.spec.head_dim + job.spec.value_dim;
    item.cost = count * (last.end - first.start) * dims;
    item
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{AttentionSpec, CpuOptions, Kernels, KvCache, KvCacheDtype, KvShape, Mask};
    use crate::{
        rows::{Arena, ArenaMemory},
        shared::{Scratch, SharedOutput},
    };

    /// Plans a call of sequences given as (rows, total positions).
    fn with_plan(sequences: &[(usize, usize)], check: impl Fn(&Plan<'_>)) {
        let longest = sequences.iter().map(|(_, len)| *len).max().unwrap();
        let kernels = Kernels::cpu(CpuOptions {
            threads: Some(1),
            ..CpuOptions::default()
        });
        let shape = KvShape {
            blocks: longest.div_ceil(32),
            block_size: 32,
            kv_heads: 2,
            key_dim: 64,
            value_dim: 64,
        };
        let cache = KvCache::new(&kernels, shape, KvCacheDtype::F16).unwrap();
        let spec = AttentionSpec {
            heads: 8,
            kv_heads: 2,
            head_dim: 64,
            value_dim: 64,
            scale: 1.0,
            softcap: None,
            window: None,
            sinks: None,
        };
        let job = Job {
            q: &[],
            cache: cache.on_cpu("test").unwrap(),
            spec: &spec,
            out: SharedOutput::new(&mut []),
            partials: Scratch::new(&Arc::new(Arena::new(ArenaMemory::Host)), 0).unwrap(),
        };
        let blocks: Vec<u32> = (0..shape.blocks as u32).collect();
        let mut first = 0;
        let span = |(rows, len): &(usize, usize)| {
            first += rows;
            KvSpan {
                rows: first - rows..first,
                first_position: len - rows,
                blocks: &blocks,
                mask: Mask::Causal,
            }
        };
        let spans: Vec<_> = sequences.iter().map(span).collect();
        let plan = Plan::new(&job, &spans, 4);
        // Every chunk of every item belongs to exactly one split.
        for (index, item) in plan.items.iter().enumerate() {
            let splits = plan.splits.iter().filter(|split| split.item == index);
            let mut chunks: Vec<_> = splits.flat_map(|split| split.chunks.clone()).collect();
            chunks.sort_unstable();
            assert!(chunks.into_iter().eq(item.chunks.clone()));
        }
        check(&plan);
    }

    #[test]
    fn plan_splits_one_long_sequence_among_all_threads() {
        with_plan(&[(1, 4096)], |plan| {
            assert_eq!((plan.items.len(), plan.split_items.len()), (2, 2));
            assert!(plan.splits.len() >= 8);
            // Sixteen chunks of four vectors for both heads.
            assert_eq!(plan.partials_len, 2 * 16 * 4 * (2 + 64));
        });
    }

    #[test]
    fn plan_does_not_split_short_or_many_sequences() {
        for sequences in [vec![(1, 100)], vec![(1, 4096); 16], vec![(512, 4096)]] {
            with_plan(&sequences, |plan| {
                assert!(plan.split_items.is_empty(), "{sequences:?}");
                assert_eq!(plan.splits.len(), plan.items.len());
            });
        }
    }

    #[test]
    fn plan_splits_only_the_long_sequence_among_short_ones() {
        let spans = [(1, 100), (1, 100), (1, 8192), (1, 100), (1, 100), (1, 100)];
        with_plan(&spans, |plan| {
            let split: Vec<_> = plan.split_items.iter().map(|(item, _)| *item).collect();
            assert_eq!(split, [4, 5]);
        });
    }

    #[test]
    fn plan_orders_splits_longest_first() {
        with_plan(&[(2048, 2048)], |plan| {
            let end = |split: &Split| plan.items[split.item].chunks.end;
            assert!(plan.splits.iter().map(end).is_sorted_by(|a, b| a >= b));
        });
    }
}

//! Dividing a call among threads.

use std::{cmp::Reverse, ops::Range};

use super::{Item, Job, SMALL, VECTORS};
use crate::KvSpan;

/// Pieces per thread that an even division needs.
const PIECES_PER_THREAD: usize = 4;

/// Chunks of an item that one thread computes.
pub(super) struct Piece {
    pub item: usize,
    pub chunks: Range<usize>,
    /// Where the first chunk's part goes, if the item is divided.
    pub partials: Option<usize>,
}

pub(super) struct Plan<'a> {
    pub items: Vec<Item<'a>>,
    /// The longest first.
    pub pieces: Vec<Piece>,
    /// Items whose chunks several pieces compute, and where the chunks' parts are.
    pub divided: Vec<(usize, usize)>,
    /// Floats of all parts.
    pub partials_len: usize,
    /// Multiply-adds.
    pub cost: usize,
}

impl<'a> Plan<'a> {
    pub fn new(job: &Job<'_>, spans: &'a [KvSpan<'a>], threads: usize) -> Self {
        let mut items = Vec::new();
        for span in spans {
            let count = span.rows.len() * (job.spec.heads / job.spec.kv_heads);
            for first in (0..count).step_by(VECTORS) {
                let vectors = first..count.min(first + VECTORS);
                items.extend(
                    (0..job.spec.kv_heads).map(|kv_head| item(job, span, kv_head, vectors.clone())),
                );
            }
        }
        let cost = items.iter().map(|item| item.cost).sum();
        let mut plan = Self {
            items,
            pieces: Vec::new(),
            divided: Vec::new(),
            partials_len: 0,
            cost,
        };
        for index in 0..plan.items.len() {
            let item = &plan.items[index];
            // An item that is not much more than a piece stays whole, so a thread holds few parts.
            let share = item.cost * PIECES_PER_THREAD * threads / cost.max(1);
            let count = if threads > 1 && share > 1 && cost >= SMALL {
                share.min(item.chunks.len())
            } else {
                1
            };
            plan.divide(job, index, count);
        }
        let (items, chunk) = (&plan.items, |item: &Item<'_>| {
            item.cost / item.chunks.len().max(1)
        });
        plan.pieces
            .sort_by_key(|piece| Reverse(piece.chunks.len() * chunk(&items[piece.item])));
        plan
    }

    /// Makes `count` pieces of about as many chunks.
    fn divide(&mut self, job: &Job<'_>, index: usize, count: usize) {
        let item = &self.items[index];
        let (start, len) = (item.chunks.start, item.chunks.len());
        let part_len = item.vectors.len() * job.partial_len();
        let partials = self.partials_len;
        if count > 1 {
            self.divided.push((index, partials));
            self.partials_len += len * part_len;
        }
        self.pieces.extend((0..count).map(|piece| {
            let chunks = piece * len / count..(piece + 1) * len / count;
            Piece {
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
) -> Item<'a> {
    let mut item = Item {
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
    use super::*;
    use crate::cpu::shared::UninitBuffer;
    use crate::{AttentionSpec, CpuOptions, Kernels, KvCache, KvCacheDtype, KvShape, Mask};

    /// Plans for sequences of so many rows, the last of so many positions.
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
            cache: &cache,
            spec: &spec,
            out: UninitBuffer::new(0),
            partials: UninitBuffer::new(0),
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
        // Every chunk of every item belongs to one piece.
        for (index, item) in plan.items.iter().enumerate() {
            let pieces = plan.pieces.iter().filter(|piece| piece.item == index);
            let mut chunks: Vec<_> = pieces.flat_map(|piece| piece.chunks.clone()).collect();
            chunks.sort_unstable();
            assert!(chunks.into_iter().eq(item.chunks.clone()));
        }
        check(&plan);
    }

    #[test]
    fn one_long_sequence_is_divided_among_all_threads() {
        with_plan(&[(1, 4096)], |plan| {
            assert_eq!((plan.items.len(), plan.divided.len()), (2, 2));
            assert!(plan.pieces.len() >= 8);
            // Sixteen chunks of four vectors for both heads.
            assert_eq!(plan.partials_len, 2 * 16 * 4 * (2 + 64));
        });
    }

    #[test]
    fn short_sequences_and_crowds_are_not_divided() {
        for sequences in [vec![(1, 100)], vec![(1, 4096); 16], vec![(512, 4096)]] {
            with_plan(&sequences, |plan| {
                assert!(plan.divided.is_empty(), "{sequences:?}");
                assert_eq!(plan.pieces.len(), plan.items.len());
            });
        }
    }

    #[test]
    fn a_long_sequence_among_short_ones_is_divided() {
        let spans = [(1, 100), (1, 100), (1, 8192), (1, 100), (1, 100), (1, 100)];
        with_plan(&spans, |plan| {
            let divided: Vec<_> = plan.divided.iter().map(|(item, _)| *item).collect();
            assert_eq!(divided, [4, 5]);
        });
    }

    #[test]
    fn the_longest_pieces_come_first() {
        with_plan(&[(2048, 2048)], |plan| {
            let end = |piece: &Piece| plan.items[piece.item].chunks.end;
            assert!(plan.pieces.iter().map(end).is_sorted_by(|a, b| a >= b));
        });
    }
}

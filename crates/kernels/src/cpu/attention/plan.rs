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
        let few = items.len() < 2 * threads;
        let mut plan = Self {
            items,
            pieces: Vec::new(),
            divided: Vec::new(),
            partials_len: 0,
            cost,
        };
        for index in 0..plan.items.len() {
            let item = &plan.items[index];
            let share = item.cost * PIECES_PER_THREAD * threads / cost.max(1);
            let count = if threads > 1 && few && cost >= SMALL {
                share.clamp(1, item.chunks.len().max(1))
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

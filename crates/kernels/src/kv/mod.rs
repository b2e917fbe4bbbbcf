//! The paged key/value cache of one layer, and the parameters of attention over it.

mod cache;
mod dtype;

use std::ops::Range;

pub use cache::{KvCache, KvShape};
pub(crate) use dtype::GROUP;
pub use dtype::KvCacheDtype;

use crate::Param;

/// The rows of one sequence in a ragged batch, and its block table.
///
/// The keys and values of these rows must be in the cache before attention is called.
#[derive(Clone, Debug)]
pub struct KvSpan<'a> {
    /// Rows of the batch that belong to the sequence.
    pub rows: Range<usize>,
    /// Position of the first of these rows; the others follow it.
    pub first_position: usize,
    /// Physical block of each run of `block_size` positions. [`u32::MAX`] is the null block, for positions outside
    /// the sliding window.
    pub blocks: &'a [u32],
    /// The positions that a row attends to.
    pub mask: Mask,
}

impl KvSpan<'_> {
    /// The first position that is visible to any row of a span that is not empty.
    pub(crate) fn first_visible(&self, window: Option<usize>) -> usize {
        window.map_or(0, |window| (self.first_position + 1).saturating_sub(window))
    }
}

/// The positions that a row of a span attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All positions up to its own.
    Causal,
    /// All positions up to the last one of the span.
    Bidirectional,
}

/// What attention computes: `softmax(softcap(scale · q·k)) · v` over the visible positions.
#[derive(Clone, Debug)]
pub struct AttentionSpec {
    /// Query heads; consecutive runs of `heads / kv_heads` share a key/value head.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Elements of a query and key head.
    pub head_dim: usize,
    /// Elements of a value head.
    pub value_dim: usize,
    /// Factor of the scores, usually `1 / √head_dim`.
    pub scale: f32,
    /// Scores become `cap · tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// Sliding window: a row at position `p` attends to no position before `p + 1 - window`.
    pub window: Option<usize>,
    /// Attention sinks: one logit per head that takes part in the softmax without a value.
    pub sinks: Option<Param>,
}

impl AttentionSpec {
    /// The positions visible to the row at `position` of a span that ends before `end`.
    pub(crate) fn visible(&self, mask: Mask, position: usize, end: usize) -> Range<usize> {
        let first = self
            .window
            .map_or(0, |window| (position + 1).saturating_sub(window));
        match mask {
            Mask::Causal => first..position + 1,
            Mask::Bidirectional => first..end,
        }
    }
}

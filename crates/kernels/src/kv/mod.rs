//! The paged key/value cache of one layer, and what attention is asked over it.

mod cache;
mod dtype;

use std::ops::Range;

pub use cache::{KvCache, KvShape};
pub(crate) use dtype::GROUP;
pub use dtype::KvCacheDtype;

use crate::Param;

/// The rows of one sequence in a ragged batch, and where its keys and values are.
///
/// The keys and values of the rows themselves have been written before attention is asked.
#[derive(Clone, Debug)]
pub struct KvSpan<'a> {
    /// Rows of the batch that belong to the sequence.
    pub rows: Range<usize>,
    /// Position of the first of these rows; the others follow it.
    pub first_position: usize,
    /// Physical block of each run of `block_size` positions. [`u32::MAX`] marks a block freed behind the window.
    pub blocks: &'a [u32],
    /// Which positions a row sees.
    pub mask: Mask,
}

/// Which positions a row of a span sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Everything up to its own position.
    Causal,
    /// Everything up to the last position of the span.
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
    /// Factor of the scores.
    pub scale: f32,
    /// Scores become `cap · tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// A row at position `p` sees nothing before `p + 1 - window`.
    pub window: Option<usize>,
    /// One logit per head that takes part in the softmax and has no value.
    pub sinks: Option<Param>,
}

impl AttentionSpec {
    /// The positions seen by the row at `position` of a span that ends before `end`.
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

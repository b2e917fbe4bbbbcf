//! The output of a scheduling step.

use std::{error::Error, fmt};

use crate::SequenceId;

/// The tokens of one sequence that are computed in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduled {
    /// The sequence.
    pub id: SequenceId,
    /// First position to compute. All earlier positions are in the KV cache.
    pub start: usize,
    /// Number of tokens to compute, at least 1. Slots are allocated for them in every cache group.
    pub count: usize,
    /// Number of draft tokens at the end of the `count` tokens.
    pub drafts: usize,
    /// Whether the step computes the sequence's last token, so that the next token is sampled from the logits of the
    /// last `1 + drafts` positions.
    pub needs_logits: bool,
}

/// The output of one scheduling step: the tokens to compute, and the sequences that were preempted or removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Decoding sequences first, then prefill chunks, each in scheduling order (priority and arrival).
    pub items: Vec<Scheduled>,
    /// Preempted sequences. They are back in the waiting queue and are resumed later.
    pub preempted: Vec<SequenceId>,
    /// Cancelled sequences. They have been removed.
    pub cancelled: Vec<SequenceId>,
    /// Sequences that can never be scheduled. They have been removed.
    pub rejected: Vec<Rejected>,
}

impl Batch {
    /// Total number of tokens to compute.
    pub fn tokens(&self) -> usize {
        self.items.iter().map(|item| item.count).sum()
    }
}

/// A sequence that can never be scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// The sequence.
    pub id: SequenceId,
    /// The reason.
    pub reason: Rejection,
}

/// Why a sequence can never be scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// It does not fit in the empty KV cache.
    TooLong {
        /// Length of the sequence.
        tokens: usize,
        /// Capacity of the KV cache in tokens for one sequence.
        limit: usize,
    },
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { tokens, limit } => write!(
                f,
                "the sequence has {tokens} tokens but the KV cache holds {limit}; shorten the prompt or give the cache more memory"
            ),
        }
    }
}

impl Error for Rejection {}

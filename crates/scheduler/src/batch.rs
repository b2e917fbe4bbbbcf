//! What one step computes.

use std::{error::Error, fmt};

use crate::SequenceId;

/// One sequence's part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduled {
    /// The sequence.
    pub id: SequenceId,
    /// First position to compute; everything before it is in the cache.
    pub start: usize,
    /// Number of positions to compute, at least 1. They all have slots in every cache group.
    pub count: usize,
    /// How many of the `count` tokens, at the end, are drafts.
    pub drafts: usize,
    /// Whether the step reaches the sequence's last token, so that the next one can be sampled
    /// from the logits of the last `1 + drafts` rows.
    pub needs_logits: bool,
}

/// What one step computes, and which sequences left the scheduler while it was planned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Generating sequences first, then chunks of prompts, each in the order in which they
    /// are served: by priority and arrival.
    pub items: Vec<Scheduled>,
    /// Sequences that gave way to others. They wait and will continue by themselves.
    pub preempted: Vec<SequenceId>,
    /// Cancelled sequences, now gone.
    pub cancelled: Vec<SequenceId>,
    /// Sequences that can never go on, now gone.
    pub rejected: Vec<Rejected>,
}

impl Batch {
    /// Number of tokens over all items.
    pub fn tokens(&self) -> usize {
        self.items.iter().map(|item| item.count).sum()
    }
}

/// A sequence that can never go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// The sequence.
    pub id: SequenceId,
    /// Why.
    pub reason: Rejection,
}

/// Why a sequence can never go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// It would not fit if it had the whole cache to itself.
    TooLong {
        /// Tokens it has.
        tokens: usize,
        /// Tokens the cache can hold.
        limit: usize,
    },
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { tokens, limit } => write!(
                f,
                "the sequence has {tokens} tokens but the cache holds {limit}; shorten the prompt or give the cache more memory"
            ),
        }
    }
}

impl Error for Rejection {}

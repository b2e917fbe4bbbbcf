//! A sequence and its progress.

use std::cmp::Reverse;

use mlxm_kvcache::{BlockPool, SequenceCache};

/// Names a sequence; chosen by the caller, unique among the sequences in the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// How soon a sequence is wanted. It starts before those of lower priority and gives way after
/// them, but goes ahead of only so many that came earlier, see
/// [`SchedulerConfig::max_skips_per_level`](crate::SchedulerConfig::max_skips_per_level).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Work that can wait.
    Low,
    /// What nobody said anything about.
    #[default]
    Normal,
    /// Somebody is waiting for it.
    High,
}

impl Priority {
    /// How many priorities are above.
    pub(crate) fn levels_below_highest(self) -> usize {
        match self {
            Self::Low => 2,
            Self::Normal => 1,
            Self::High => 0,
        }
    }
}

/// The order in which sequences are served, lowest first. It is settled when a sequence arrives and
/// never changes, so a sequence sees only so many others go ahead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// The last arrival that goes ahead of this sequence if it is of the highest priority.
    due: u64,
    /// Of two that are due at once, the later one is of higher priority.
    arrival: Reverse<u64>,
}

impl Rank {
    /// The rank of the sequence that is the `arrival`th to arrive.
    pub(crate) fn new(arrival: u64, priority: Priority, max_skips_per_level: usize) -> Self {
        let max_skips = priority.levels_below_highest() as u64 * max_skips_per_level as u64;
        Self {
            due: arrival.saturating_add(max_skips),
            arrival: Reverse(arrival),
        }
    }
}

/// Work for the scheduler.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// Its name.
    pub id: SequenceId,
    /// Its tokens so far, usually the prompt. Not empty.
    pub tokens: Vec<u32>,
    /// Sequences share cached prefixes only with others of the same cache_salt.
    pub cache_salt: u64,
    /// Whether to reuse cached prefixes and to cache the blocks of this sequence for others.
    pub prefix_caching: bool,
    /// How soon it is wanted.
    pub priority: Priority,
}

impl Sequence {
    /// A sequence of normal priority with cache_salt 0 that shares its prefix.
    pub fn new(id: SequenceId, tokens: Vec<u32>) -> Self {
        Self {
            id,
            tokens,
            cache_salt: 0,
            prefix_caching: true,
            priority: Priority::Normal,
        }
    }
}

/// A sequence in the scheduler.
#[derive(Debug)]
pub struct SequenceState {
    /// Tokens that are certain, then drafts.
    pub(crate) tokens: Vec<u32>,
    pub(crate) drafts: usize,
    pub(crate) rank: Rank,
    pub(crate) cache_salt: u64,
    pub(crate) prefix_caching: bool,
    pub(crate) computed_tokens: usize,
    /// Positions planned and not yet committed.
    pub(crate) scheduled_tokens: usize,
    /// Present while running.
    pub(crate) cache: Option<SequenceCache>,
    /// Set when it first starts.
    pub(crate) cached_tokens: usize,
    pub(crate) started: bool,
    pub(crate) cancelled: bool,
}

impl SequenceState {
    pub(crate) fn new(sequence: Sequence, rank: Rank) -> Self {
        Self {
            tokens: sequence.tokens,
            drafts: 0,
            rank,
            cache_salt: sequence.cache_salt,
            prefix_caching: sequence.prefix_caching,
            computed_tokens: 0,
            scheduled_tokens: 0,
            cache: None,
            cached_tokens: 0,
            started: false,
            cancelled: false,
        }
    }

    /// Number of tokens, drafts not included.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len() - self.drafts
    }

    /// Tokens still to be computed.
    pub(crate) fn num_uncomputed_tokens(&self) -> usize {
        self.len() - self.computed_tokens
    }

    /// A cache that starts from what the pool holds of the sequence, if it may.
    pub(crate) fn match_prefix(&self, pool: &mut BlockPool) -> SequenceCache {
        if self.prefix_caching {
            pool.match_prefix(self.tokens(), self.cache_salt)
        } else {
            pool.sequence_without_prefix_caching()
        }
    }

    pub(crate) fn drop_drafts(&mut self) {
        self.tokens.truncate(self.len());
        self.drafts = 0;
    }

    /// The tokens so far: prompt and what was committed.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens[..self.len()]
    }

    /// How many tokens at the start are computed and in the cache.
    pub fn computed_tokens(&self) -> usize {
        self.computed_tokens
    }

    /// Tokens found in the cache when the sequence first started. What a preempted sequence finds
    /// of its own does not count.
    pub fn cached_tokens(&self) -> usize {
        self.cached_tokens
    }

    /// Its block tables, while it is running.
    pub fn cache(&self) -> Option<&SequenceCache> {
        self.cache.as_ref()
    }

    /// Whether it was cancelled and is only waiting to be cleared away.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }
}

//! A sequence and its scheduling state.

use std::cmp::Reverse;

use mlxm_kvcache::{BlockPool, SequenceCache};

/// Identifies a sequence. Chosen by the caller; unique among the sequences in the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// Scheduling priority. A higher priority starts earlier and is preempted later, within the limits of
/// [`SchedulerConfig::max_skips_per_level`](crate::SchedulerConfig::max_skips_per_level).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Background work.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Interactive work.
    High,
}

impl Priority {
    /// Number of levels below the highest priority.
    pub(crate) fn levels_below_highest(self) -> usize {
        match self {
            Self::Low => 2,
            Self::Normal => 1,
            Self::High => 0,
        }
    }
}

/// Position in the scheduling order, lowest first. It is fixed on arrival, which bounds how many later arrivals can
/// skip a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Last arrival of the highest priority that is scheduled before this sequence.
    due: u64,
    /// Tie-breaker: of two sequences with the same `due`, the later arrival has the higher priority.
    arrival: Reverse<u64>,
}

impl Rank {
    /// Rank of the sequence with arrival number `arrival`.
    pub(crate) fn new(arrival: u64, priority: Priority, max_skips_per_level: usize) -> Self {
        let max_skips = priority.levels_below_highest() as u64 * max_skips_per_level as u64;
        Self {
            due: arrival.saturating_add(max_skips),
            arrival: Reverse(arrival),
        }
    }
}

/// A sequence to add to the scheduler.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// Unique id.
    pub id: SequenceId,
    /// Initial tokens, usually the prompt. Must not be empty.
    pub tokens: Vec<u32>,
    /// Cached prefixes are shared only between sequences with the same salt.
    pub cache_salt: u64,
    /// Whether to reuse cached prefixes and to cache the blocks of this sequence for others.
    pub prefix_caching: bool,
    /// Scheduling priority.
    pub priority: Priority,
}

impl Sequence {
    /// A sequence with normal priority, `cache_salt` 0 and prefix caching enabled.
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

/// State of a sequence in the scheduler.
#[derive(Debug)]
pub struct SequenceState {
    /// Committed tokens followed by draft tokens.
    pub(crate) tokens: Vec<u32>,
    pub(crate) drafts: usize,
    pub(crate) rank: Rank,
    pub(crate) cache_salt: u64,
    pub(crate) prefix_caching: bool,
    pub(crate) computed_tokens: usize,
    /// Number of tokens scheduled and not yet committed.
    pub(crate) scheduled_tokens: usize,
    /// Present while the sequence is running.
    pub(crate) cache: Option<SequenceCache>,
    /// Set when the sequence first starts.
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

    /// Number of tokens, excluding drafts.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len() - self.drafts
    }

    /// Number of tokens that are not computed yet, excluding drafts.
    pub(crate) fn num_uncomputed_tokens(&self) -> usize {
        self.len() - self.computed_tokens
    }

    /// A new cache, starting from the longest cached prefix if prefix caching is enabled.
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

    /// The prompt and all committed tokens.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens[..self.len()]
    }

    /// Number of leading tokens that are computed and in the KV cache.
    pub fn computed_tokens(&self) -> usize {
        self.computed_tokens
    }

    /// Number of prompt tokens found in the prefix cache when the sequence first started. Blocks that it finds again
    /// after a preemption do not count.
    pub fn cached_tokens(&self) -> usize {
        self.cached_tokens
    }

    /// The block tables, while the sequence is running.
    pub fn cache(&self) -> Option<&SequenceCache> {
        self.cache.as_ref()
    }

    /// Whether the sequence was cancelled and will be removed by the next
    /// [`Scheduler::schedule`](crate::Scheduler::schedule).
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }
}

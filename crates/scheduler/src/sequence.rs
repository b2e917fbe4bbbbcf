//! A sequence and its progress.

use mlxm_kvcache::SequenceCache;

/// Names a sequence; chosen by the caller, unique among the sequences in the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// Whether a sequence shares its cache with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrefixReuse {
    /// It starts from the longest prefix in the cache and leaves its own behind.
    #[default]
    Shared,
    /// Every token is computed and nothing is left behind.
    Private,
}

/// Work for the scheduler.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// Its name.
    pub id: SequenceId,
    /// Its tokens so far, usually the prompt. Not empty.
    pub tokens: Vec<u32>,
    /// Sequences share cached prefixes only with others of the same salt.
    pub salt: u64,
    /// Whether it shares at all.
    pub prefix_reuse: PrefixReuse,
}

impl Sequence {
    /// A sequence with salt 0 that shares its prefix.
    pub fn new(id: SequenceId, tokens: Vec<u32>) -> Self {
        Self {
            id,
            tokens,
            salt: 0,
            prefix_reuse: PrefixReuse::Shared,
        }
    }
}

/// A sequence in the scheduler.
#[derive(Debug)]
pub struct SequenceState {
    /// Tokens that are certain, then drafts.
    pub(crate) tokens: Vec<u32>,
    pub(crate) drafts: usize,
    pub(crate) salt: u64,
    pub(crate) prefix_reuse: PrefixReuse,
    pub(crate) computed: usize,
    /// Positions planned and not yet committed.
    pub(crate) in_flight: usize,
    /// Present while running.
    pub(crate) cache: Option<SequenceCache>,
    /// Set when it first starts.
    pub(crate) cached_tokens: usize,
    pub(crate) started: bool,
    pub(crate) cancelled: bool,
}

impl SequenceState {
    pub(crate) fn new(sequence: Sequence) -> Self {
        Self {
            tokens: sequence.tokens,
            drafts: 0,
            salt: sequence.salt,
            prefix_reuse: sequence.prefix_reuse,
            computed: 0,
            in_flight: 0,
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
    pub(crate) fn behind(&self) -> usize {
        self.len() - self.computed
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
    pub fn computed(&self) -> usize {
        self.computed
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

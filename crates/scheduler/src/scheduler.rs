//! The scheduler: admission, preemption and the token budget of a step.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fmt,
};

use mlxm_kvcache::BlockPool;

use crate::{
    Batch, ConfigError, Rejected, Rejection, Scheduled, SchedulerConfig, Sequence, SequenceId,
    SequenceState, sequence::Rank,
};

/// Error of [`Scheduler::add`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddError {
    /// The sequence has no tokens.
    Empty(SequenceId),
    /// A sequence with this id already exists.
    Duplicate(SequenceId),
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(id) => write!(f, "sequence {} has no tokens; give it at least one", id.0),
            Self::Duplicate(id) => write!(f, "sequence {} already exists; choose another id", id.0),
        }
    }
}

impl Error for AddError {}

/// Error of [`Scheduler::commit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitError {
    /// No sequence has this id.
    Unknown(SequenceId),
    /// The sequence is not part of the current step, or its part was already committed.
    NotScheduled(SequenceId),
    /// Sampled tokens were passed although the step did not compute the sequence's last token.
    BeforeLastToken(SequenceId),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(id) => write!(f, "unknown sequence {}", id.0),
            Self::NotScheduled(id) => write!(f, "sequence {} is not part of this step", id.0),
            Self::BeforeLastToken(id) => write!(
                f,
                "sequence {} has uncomputed tokens; it cannot be extended before they are computed",
                id.0
            ),
        }
    }
}

impl Error for CommitError {}

/// Schedules sequences by rank, with chunked prefill and preemption of the last running sequence.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    /// At most `max_batch_tokens` of `config`.
    max_step_tokens: usize,
    sequences: HashMap<SequenceId, SequenceState>,
    /// Ordered by rank.
    running: Vec<SequenceId>,
    waiting: BTreeMap<Rank, SequenceId>,
    /// Total number of sequences added.
    arrivals: u64,
    cancelled: Vec<SequenceId>,
}

impl Scheduler {
    /// Creates a scheduler without sequences.
    ///
    /// # Errors
    /// [`ConfigError`] if the limits are inconsistent.
    pub fn new(config: SchedulerConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            config,
            max_step_tokens: config.max_batch_tokens,
            sequences: HashMap::new(),
            running: Vec::new(),
            waiting: BTreeMap::new(),
            arrivals: 0,
            cancelled: Vec::new(),
        })
    }

    /// Limits the tokens of the following steps to `tokens`, but not to fewer than `max_sequences`, so that every running
    /// sequence can advance, and not to more than `max_batch_tokens`.
    pub fn limit_step_tokens(&mut self, tokens: usize) {
        let SchedulerConfig {
            max_sequences,
            max_batch_tokens,
            ..
        } = self.config;
        self.max_step_tokens = tokens.clamp(max_sequences, max_batch_tokens);
    }

    /// Adds a sequence to the waiting queue, after those of the same and of higher priority.
    ///
    /// # Errors
    /// [`AddError`] if the sequence has no tokens or its id is in use.
    pub fn add(&mut self, sequence: Sequence) -> Result<(), AddError> {
        let id = sequence.id;
        if sequence.tokens.is_empty() {
            return Err(AddError::Empty(id));
        }
        if self.sequences.contains_key(&id) {
            return Err(AddError::Duplicate(id));
        }
        let rank = Rank::new(
            self.arrivals,
            sequence.priority,
            self.config.max_skips_per_level,
        );
        self.arrivals += 1;
        self.sequences
            .insert(id, SequenceState::new(sequence, rank));
        self.waiting.insert(rank, id);
        Ok(())
    }

    /// Cancels a sequence. The next [`Scheduler::schedule`] removes and reports it; until then it keeps its blocks, so
    /// that a step in progress can complete. Returns whether the sequence existed and was not yet cancelled.
    pub fn cancel(&mut self, id: SequenceId) -> bool {
        match self.sequences.get_mut(&id) {
            Some(state) if !state.cancelled => {
                state.cancelled = true;
                self.cancelled.push(id);
                true
            }
            _ => false,
        }
    }

    /// Sets draft tokens for speculative decoding, to be verified together with the last token of the sequence. They
    /// replace earlier drafts; the next [`Scheduler::commit`] drops those that it does not accept. Ignored unless the
    /// sequence is running and only its last token is uncomputed.
    pub fn propose(&mut self, id: SequenceId, drafts: &[u32]) {
        if let Some(state) = self.sequences.get_mut(&id)
            && state.cache.is_some()
            && state.num_uncomputed_tokens() == 1
            && state.scheduled_tokens == 0
        {
            state.drop_drafts();
            state.tokens.extend_from_slice(drafts);
            state.drafts = drafts.len();
        }
    }

    /// Schedules the next step: selects the tokens to compute and allocates their cache slots.
    ///
    /// Tokens that were scheduled in an earlier step but never committed count as uncomputed.
    pub fn schedule(&mut self, pool: &mut BlockPool) -> Batch {
        let mut batch = Batch::default();
        self.remove_cancelled(pool, &mut batch);
        self.update_computed(pool, &mut batch);
        self.preempt_for_priority(pool, &mut batch);
        self.schedule_running(pool, &mut batch, |state| state.num_uncomputed_tokens() == 1);
        self.schedule_running(pool, &mut batch, |state| state.num_uncomputed_tokens() > 1);
        self.admit_waiting(pool, &mut batch);
        batch
    }

    /// Marks the scheduled tokens of a sequence as computed and appends the sampled `tokens`, which must be empty if
    /// the step did not compute the sequence's last token.
    ///
    /// With drafts, `tokens` are the accepted drafts followed by one sampled token. Positions that were computed for
    /// rejected drafts are rolled back.
    ///
    /// Does nothing for a cancelled sequence.
    ///
    /// # Errors
    /// [`CommitError`] if the sequence is unknown or not part of the step, or if tokens are passed too early. Nothing
    /// changes then.
    pub fn commit(&mut self, id: SequenceId, tokens: &[u32]) -> Result<(), CommitError> {
        let state = self.sequences.get_mut(&id);
        let state = state.ok_or(CommitError::Unknown(id))?;
        if state.cancelled {
            return Ok(());
        }
        if state.scheduled_tokens == 0 {
            return Err(CommitError::NotScheduled(id));
        }
        let len = state.len();
        let end = state.computed_tokens + state.scheduled_tokens;
        if end < len && !tokens.is_empty() {
            return Err(CommitError::BeforeLastToken(id));
        }
        state.scheduled_tokens = 0;
        if end < len {
            state.computed_tokens = end;
            return Ok(());
        }
        let drafts = &state.tokens[len..end];
        let accepted = drafts.iter().zip(tokens).take_while(|(a, b)| a == b);
        // The last token stays uncomputed even if it was a draft, because its logits are needed.
        let accepted = accepted.count().min(tokens.len().saturating_sub(1));
        state.computed_tokens = len + accepted;
        state.drop_drafts();
        state.tokens.extend_from_slice(tokens);
        Ok(())
    }

    /// Removes a sequence and returns its tokens. Its full blocks stay in the prefix cache. `None` if the sequence is
    /// unknown.
    pub fn finish(&mut self, id: SequenceId, pool: &mut BlockPool) -> Option<Vec<u32>> {
        let mut state = self.sequences.remove(&id)?;
        self.running.retain(|&other| other != id);
        self.waiting.remove(&state.rank);
        self.cancelled.retain(|&other| other != id);
        state.drop_drafts();
        if let Some(mut cache) = state.cache {
            pool.cache_full_blocks(&mut cache, &state.tokens, state.computed_tokens);
            pool.release(cache);
        }
        Some(state.tokens)
    }

    /// A waiting or running sequence.
    pub fn sequence(&self, id: SequenceId) -> Option<&SequenceState> {
        self.sequences.get(&id)
    }

    /// The input tokens of an item of the current step, including drafts. Empty if the sequence was removed.
    pub fn input(&self, item: &Scheduled) -> &[u32] {
        match self.sequences.get(&item.id) {
            Some(state) => &state.tokens[item.start..item.start + item.count],
            None => &[],
        }
    }

    /// Number of running sequences.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Number of waiting sequences, including preempted ones.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Allocated slots of a cache group that running sequences do not use for computed or scheduled tokens: at most
    /// `block_size - 1` per sequence.
    ///
    /// # Panics
    /// If the pool has no such group.
    pub fn internal_fragmentation(&self, group: usize) -> usize {
        let states = self.running.iter().map(|id| &self.sequences[id]);
        let unused = states.map(|state| {
            let cache = state.cache.as_ref();
            cache.map_or(0, |cache| {
                cache.internal_fragmentation(group, state.computed_tokens + state.scheduled_tokens)
            })
        });
        unused.sum()
    }

    /// Whether there are no sequences.
    pub fn is_idle(&self) -> bool {
        self.sequences.is_empty()
    }

    fn remove_cancelled(&mut self, pool: &mut BlockPool, batch: &mut Batch) {
        for id in std::mem::take(&mut self.cancelled) {
            self.finish(id, pool);
            batch.cancelled.push(id);
        }
    }

    /// Caches the full blocks of the last step, frees the slots of rejected drafts, and rejects sequences that no
    /// longer fit in the pool.
    fn update_computed(&mut self, pool: &mut BlockPool, batch: &mut Batch) {
        for id in self.running.clone() {
            if self.reject_if_too_long(id, pool, batch) {
                continue;
            }
            let Some(state) = self.sequences.get_mut(&id) else {
                continue;
            };
            state.scheduled_tokens = 0;
            if let Some(cache) = &mut state.cache {
                pool.cache_full_blocks(cache, &state.tokens, state.computed_tokens);
                state.computed_tokens = pool.truncate(cache, state.computed_tokens);
            }
        }
    }

    fn reject_if_too_long(
        &mut self,
        id: SequenceId,
        pool: &mut BlockPool,
        batch: &mut Batch,
    ) -> bool {
        let limit = pool.max_sequence_len();
        let tokens = self.sequences.get(&id).map_or(0, SequenceState::len);
        if tokens <= limit {
            return false;
        }
        self.finish(id, pool);
        let reason = Rejection::TooLong { tokens, limit };
        batch.rejected.push(Rejected { id, reason });
        true
    }

    fn schedule_running(
        &mut self,
        pool: &mut BlockPool,
        batch: &mut Batch,
        filter: impl Fn(&SequenceState) -> bool,
    ) {
        let mut index = 0;
        // Preemption removes entries from the end of the list.
        while let Some(&id) = self.running.get(index) {
            let state = &self.sequences[&id];
            if state.scheduled_tokens == 0 && filter(state) {
                self.schedule_sequence(id, pool, batch);
            }
            index += 1;
        }
    }

    /// Schedules as many tokens of a running sequence as the token budget and free blocks allow. Preempts later
    /// sequences until at least one token fits, and finally the sequence itself.
    fn schedule_sequence(&mut self, id: SequenceId, pool: &mut BlockPool, batch: &mut Batch) {
        loop {
            let budget = self.budget(batch);
            let Some(state) = self.sequences.get_mut(&id) else {
                return;
            };
            let Some(cache) = &mut state.cache else {
                return;
            };
            let start = state.computed_tokens;
            // Only a decoding sequence has drafts.
            let uncomputed = state.tokens.len() - start;
            let available_slots = pool.max_allocatable_len(cache).saturating_sub(start);
            let count = uncomputed.min(budget).min(available_slots);
            if count > 0 && pool.allocate_slots(cache, start + count).is_ok() {
                state.scheduled_tokens = count;
                let len = state.len();
                batch.items.push(Scheduled {
                    id,
                    start,
                    count,
                    drafts: (start + count).saturating_sub(len),
                    needs_logits: start + count >= len,
                });
                return;
            }
            let last = self.preempt_last(pool, batch);
            if last.is_none_or(|last| last == id) {
                return;
            }
        }
    }

    /// Token budget of the next item. Reserves one token for every running sequence that is not scheduled yet, so that
    /// drafts cannot stall a prefill.
    fn budget(&self, batch: &Batch) -> usize {
        let states = self.running.iter().map(|id| &self.sequences[id]);
        let unscheduled =
            states.filter(|state| state.scheduled_tokens == 0 && state.num_uncomputed_tokens() > 0);
        let later = unscheduled.count().saturating_sub(1);
        self.max_step_tokens - batch.tokens() - later
    }

    /// Frees the blocks of the last running sequence and returns it to the waiting queue.
    fn preempt_last(&mut self, pool: &mut BlockPool, batch: &mut Batch) -> Option<SequenceId> {
        let id = self.running.pop()?;
        let state = self.sequences.get_mut(&id)?;
        state.drop_drafts();
        state.computed_tokens = 0;
        state.scheduled_tokens = 0;
        if let Some(cache) = state.cache.take() {
            pool.release(cache);
        }
        batch.items.retain(|item| item.id != id);
        batch.preempted.push(id);
        self.waiting.insert(state.rank, id);
        Some(id)
    }

    /// Admits waiting sequences that rank before running ones, and preempts as many of the latter as necessary.
    fn preempt_for_priority(&mut self, pool: &mut BlockPool, batch: &mut Batch) {
        while let Some((&rank, &id)) = self.waiting.first_key_value()
            && self.num_running_after(rank) > 0
        {
            if self.reject_if_too_long(id, pool, batch) {
                continue;
            }
            while !self.admit(id, pool) {
                if self.num_running_after(rank) == 0 || !self.can_admit_after_preemption(id, pool) {
                    return;
                }
                self.preempt_last(pool, batch);
            }
        }
    }

    /// Number of running sequences that rank after `rank`.
    fn num_running_after(&self, rank: Rank) -> usize {
        self.running.len() - self.position(rank)
    }

    /// Index of `rank` in the list of running sequences, or the index at which to insert it.
    fn position(&self, rank: Rank) -> usize {
        let before = |id: &SequenceId| self.sequences[id].rank < rank;
        self.running.partition_point(before)
    }

    /// Whether a waiting sequence would fit if all running sequences after it were preempted.
    fn can_admit_after_preemption(&self, id: SequenceId, pool: &mut BlockPool) -> bool {
        let state = &self.sequences[&id];
        let later = &self.running[self.position(state.rank)..];
        let caches = later.iter().filter_map(|id| self.sequences[id].cache());
        let caches: Vec<_> = caches.collect();
        let cache = state.match_prefix(pool);
        let fits = pool.can_fit_after_releasing(&cache, state.len(), &caches);
        pool.release(cache);
        fits
    }

    /// Starts a waiting sequence if `max_sequences` allows it and all of its tokens fit in the pool. Allocates its
    /// first blocks.
    fn admit(&mut self, id: SequenceId, pool: &mut BlockPool) -> bool {
        if self.running.len() >= self.config.max_sequences {
            return false;
        }
        let Some(state) = self.sequences.get_mut(&id) else {
            return false;
        };
        let mut cache = state.match_prefix(pool);
        let computed = cache.cached_tokens();
        let fits = pool.can_fit(&cache, state.len())
            && pool.allocate_slots(&mut cache, computed + 1).is_ok();
        if !fits {
            pool.release(cache);
            return false;
        }
        state.computed_tokens = computed;
        state.cache = Some(cache);
        if !state.started {
            state.started = true;
            state.cached_tokens = computed;
        }
        let rank = state.rank;
        self.waiting.remove(&rank);
        self.running.insert(self.position(rank), id);
        true
    }

    fn admit_waiting(&mut self, pool: &mut BlockPool, batch: &mut Batch) {
        while batch.tokens() < self.max_step_tokens
            && let Some((_, &id)) = self.waiting.first_key_value()
            // A preempted sequence must not take the blocks back in the same step.
            && !batch.preempted.contains(&id)
        {
            if self.reject_if_too_long(id, pool, batch) {
                continue;
            }
            if !self.admit(id, pool) {
                return;
            }
            self.schedule_sequence(id, pool, batch);
        }
    }
}

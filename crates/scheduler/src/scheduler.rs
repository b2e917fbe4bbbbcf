//! The scheduler: who runs, who waits, who computes how much.

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

/// Why [`Scheduler::add`] refuses a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddError {
    /// It has no tokens, so there is nothing to compute.
    Empty(SequenceId),
    /// There is already a sequence of this name.
    Duplicate(SequenceId),
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(id) => write!(f, "sequence {} has no tokens; give it at least one", id.0),
            Self::Duplicate(id) => write!(f, "sequence {} exists; choose another id", id.0),
        }
    }
}

impl Error for AddError {}

/// Why [`Scheduler::commit`] refuses a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitError {
    /// There is no such sequence.
    Unknown(SequenceId),
    /// The sequence is not part of the step, or was committed already.
    NotScheduled(SequenceId),
    /// Tokens were given although the step did not reach the sequence's last token.
    BeforeLastToken(SequenceId),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(id) => write!(f, "there is no sequence {}", id.0),
            Self::NotScheduled(id) => write!(f, "sequence {} is not part of this step", id.0),
            Self::BeforeLastToken(id) => write!(
                f,
                "sequence {} has tokens left to compute; commit no new ones before that",
                id.0
            ),
        }
    }
}

impl Error for CommitError {}

/// Serves sequences by rank, with chunked prompts and preemption of the last.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    sequences: HashMap<SequenceId, SequenceState>,
    /// By rank.
    running: Vec<SequenceId>,
    waiting: BTreeMap<Rank, SequenceId>,
    /// Sequences that were ever added.
    arrivals: u64,
    cancelled: Vec<SequenceId>,
}

impl Scheduler {
    /// A scheduler without sequences.
    ///
    /// # Errors
    /// If the limits would leave a sequence without progress.
    pub fn new(config: SchedulerConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            config,
            sequences: HashMap::new(),
            running: Vec::new(),
            waiting: BTreeMap::new(),
            arrivals: 0,
            cancelled: Vec::new(),
        })
    }

    /// Puts a sequence into the queue, behind those of its own and of higher priority.
    ///
    /// # Errors
    /// If it has no tokens or its id is taken.
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

    /// Ends a sequence at the next [`Scheduler::schedule`], which reports it. Until then its blocks
    /// stay, so a step in progress may go on. Says whether there was something to cancel.
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

    /// Proposes tokens that may follow a sequence, to be computed together with its last token.
    /// They replace earlier proposals and are dropped with the next [`Scheduler::commit`], except
    /// for what that confirms. Ignored unless the sequence is running and only its last token is
    /// uncomputed.
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

    /// Plans the next step: chooses what to compute and gives it cache slots.
    ///
    /// What an earlier step planned and never committed counts as not computed.
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

    /// Records that a sequence's part of the step is computed, and appends `tokens` to it: none
    /// if the step did not reach its last token, else what was sampled.
    ///
    /// With drafts, `tokens` are the drafts that were right and the one token sampled after them.
    /// Positions computed for drafts that differ from `tokens` are rolled back.
    ///
    /// A cancelled sequence ignores the call.
    ///
    /// # Errors
    /// If the sequence is unknown or not part of the step, or is given tokens too early. Nothing
    /// is changed then.
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
        let confirmed = drafts.iter().zip(tokens).take_while(|(a, b)| a == b);
        // The last token's output is wanted, so it stays uncomputed even if it was a draft.
        let confirmed = confirmed.count().min(tokens.len().saturating_sub(1));
        state.computed_tokens = len + confirmed;
        state.drop_drafts();
        state.tokens.extend_from_slice(tokens);
        Ok(())
    }

    /// Takes a sequence out and returns its tokens. What it computed stays findable for later
    /// sequences. `None` if there is no such sequence.
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

    /// A sequence in the scheduler, waiting or running.
    pub fn sequence(&self, id: SequenceId) -> Option<&SequenceState> {
        self.sequences.get(&id)
    }

    /// The tokens that an item of the current step computes, drafts included. Empty if its
    /// sequence is gone.
    pub fn input(&self, item: &Scheduled) -> &[u32] {
        match self.sequences.get(&item.id) {
            Some(state) => &state.tokens[item.start..item.start + item.count],
            None => &[],
        }
    }

    /// Number of sequences that hold cache blocks.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Number of sequences that wait, preempted ones included.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Slots of a cache group that running sequences hold beyond what they have computed or are
    /// about to compute: at most `block_size - 1` for each of them.
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

    /// Whether there is nothing to plan.
    pub fn is_idle(&self) -> bool {
        self.sequences.is_empty()
    }

    fn remove_cancelled(&mut self, pool: &mut BlockPool, batch: &mut Batch) {
        for id in std::mem::take(&mut self.cancelled) {
            self.finish(id, pool);
            batch.cancelled.push(id);
        }
    }

    /// Seals what the last step computed, takes back slots of rejected drafts, and lets sequences
    /// go that have outgrown the pool.
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
        chosen: impl Fn(&SequenceState) -> bool,
    ) {
        let mut at = 0;
        // Preemption shortens the list from its end.
        while let Some(&id) = self.running.get(at) {
            let state = &self.sequences[&id];
            if state.scheduled_tokens == 0 && chosen(state) {
                self.schedule_sequence(id, pool, batch);
            }
            at += 1;
        }
    }

    /// Gives a running sequence as many positions as budget and blocks allow, and at least one,
    /// for which those behind it give way. If there are none, it gives way itself.
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
            // Only a generating sequence has drafts.
            let wanted = state.tokens.len() - start;
            let room = pool.max_allocatable_len(cache).saturating_sub(start);
            let count = wanted.min(budget).min(room);
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

    /// Tokens the next item may have. One is kept back for every running sequence that comes
    /// later in this step, so that drafts cannot hold up a prompt.
    fn budget(&self, batch: &Batch) -> usize {
        let states = self.running.iter().map(|id| &self.sequences[id]);
        let unplanned =
            states.filter(|state| state.scheduled_tokens == 0 && state.num_uncomputed_tokens() > 0);
        let later = unplanned.count().saturating_sub(1);
        self.config.max_batch_tokens - batch.tokens() - later
    }

    /// Takes the blocks of the last running sequence and sends it back to the queue.
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

    /// Lets waiting sequences run that rank before running ones. Those behind them give way as far
    /// as it takes.
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

    /// How many running sequences rank behind `rank`.
    fn num_running_after(&self, rank: Rank) -> usize {
        self.running.len() - self.position(rank)
    }

    /// Where a sequence of this rank is, or belongs, among the running ones.
    fn position(&self, rank: Rank) -> usize {
        let before = |id: &SequenceId| self.sequences[id].rank < rank;
        self.running.partition_point(before)
    }

    /// Whether a waiting sequence would have enough blocks if all running ones behind it gave way.
    fn can_admit_after_preemption(&self, id: SequenceId, pool: &mut BlockPool) -> bool {
        let state = &self.sequences[&id];
        let behind = &self.running[self.position(state.rank)..];
        let caches = behind.iter().filter_map(|id| self.sequences[id].cache());
        let caches: Vec<_> = caches.collect();
        let own = state.match_prefix(pool);
        let fits = pool.can_fit_after_releasing(&own, state.len(), &caches);
        pool.release(own);
        fits
    }

    /// Lets a waiting sequence run if there is a place and it fits as a whole. It gets the first
    /// of its blocks.
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
        while batch.tokens() < self.config.max_batch_tokens
            && let Some((_, &id)) = self.waiting.first_key_value()
            // One that gave way must not take the blocks back in the same step.
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

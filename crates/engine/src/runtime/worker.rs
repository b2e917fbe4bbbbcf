//! The thread that owns a model and its caches: commands in, one forward pass per step for all sequences, events out.
//! Nothing in a step takes a lock that another thread holds for long.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels, Mask};
use mlxm_kvcache::{BlockPool, SequenceCache};
use mlxm_scheduler::{Batch, PrefixReuse, Scheduler, Sequence, SequenceId};

use super::cache::CachePool;
use super::counters::SharedCounters;
use super::input::{GroupInput, ModelInput, Span, Step};
use super::sequence::{ActiveRequest, Limits, Progress};
use crate::error::{GenerationError, RequestError};
use crate::models::Model;
use crate::request::Logits;

/// What the worker is asked to do.
pub enum Command {
    /// Generate an answer.
    Generate {
        /// The prompt.
        tokens: Vec<u32>,
        /// Whether its cache is shared with other requests.
        prefix_reuse: PrefixReuse,
        /// How the answer is made, and where it goes.
        request: Box<ActiveRequest>,
    },
    /// Compute the logits of every position.
    Logits {
        /// The tokens.
        tokens: Vec<u32>,
        /// How many of them to compute at a time.
        chunk: usize,
        /// Where the result goes.
        reply: Sender<Result<Logits, RequestError>>,
    },
    /// Compute the log-probability of every token but the first.
    Logprobs {
        /// The tokens.
        tokens: Vec<u32>,
        /// Where the result goes.
        reply: Sender<Result<Vec<f32>, RequestError>>,
    },
    /// Put the weights where they are read fastest.
    Settle {
        /// Where it is told that they are there.
        done: Sender<()>,
    },
}

/// Steps after which the time to settle the weights is well spent, even if something has to wait for it.
const STEPS_TO_SETTLE: u64 = 64;

/// A model with everything it needs to run.
pub struct Worker {
    pub(super) kernels: Kernels,
    pub(super) counters: Arc<SharedCounters>,
    pub(super) model: Box<dyn Model>,
    pub(super) cache: CachePool,
    pub(super) pool: BlockPool,
    pub(super) scheduler: Scheduler,
    pub(super) limits: Limits,
    pub(super) vocab_size: usize,
    pub(super) max_batch_tokens: usize,
    pub(super) active: HashMap<SequenceId, ActiveRequest>,
    /// Scoring that waits until no answer is running: it needs a whole context of blocks for itself.
    pub(super) scoring: Vec<Command>,
    pub(super) next_id: u64,
    /// Whether the weights lie where they are read fastest, or are on their way.
    pub(super) settled: bool,
}

impl Worker {
    /// Runs until every handle is gone and every answer is complete.
    pub fn run(mut self, commands: &Receiver<Command>) {
        let mut open = true;
        while open || !self.active.is_empty() {
            open = self.take_commands(commands, open);
            self.cancel_abandoned();
            if self.active.is_empty() {
                for command in std::mem::take(&mut self.scoring) {
                    self.score(command);
                }
            }
            if !self.scheduler.is_idle() {
                self.step();
                self.settle_after(STEPS_TO_SETTLE);
            }
        }
    }

    /// Takes what has arrived; with nothing else to do, waits for it. Says whether more can come.
    fn take_commands(&mut self, commands: &Receiver<Command>, open: bool) -> bool {
        if !open {
            return false;
        }
        if self.active.is_empty() && self.scoring.is_empty() {
            self.settle_after(1);
            match commands.recv() {
                Ok(command) => self.accept(command),
                Err(_) => return false,
            }
        }
        loop {
            match commands.try_recv() {
                Ok(command) => self.accept(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Settles the weights once so many steps have been done.
    fn settle_after(&mut self, steps: u64) {
        if !self.settled && self.counters.read().steps >= steps {
            self.settled = true;
            self.kernels.settle(|| {});
        }
    }

    fn accept(&mut self, command: Command) {
        let (tokens, prefix_reuse, request) = match command {
            Command::Generate {
                tokens,
                prefix_reuse,
                request,
            } => (tokens, prefix_reuse, request),
            Command::Settle { done } => {
                self.settled = true;
                // Nobody may be waiting any more.
                self.kernels.settle(move || {
                    let _ = done.send(());
                });
                return;
            }
            Command::Logits { .. } | Command::Logprobs { .. } => {
                self.scoring.push(command);
                return;
            }
        };
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        let sequence = Sequence {
            prefix_reuse,
            ..Sequence::new(id, tokens)
        };
        match self.scheduler.add(sequence) {
            Ok(()) => {
                self.active.insert(id, *request);
            }
            Err(error) => request.fail(GenerationError::Compute(error.to_string())),
        }
    }

    fn cancel_abandoned(&mut self) {
        let abandoned: Vec<SequenceId> = self
            .active
            .iter()
            .filter(|(_, request)| request.is_abandoned())
            .map(|(id, _)| *id)
            .collect();
        for id in abandoned {
            self.drop_sequence(id);
        }
    }

    fn drop_sequence(&mut self, id: SequenceId) -> Option<ActiveRequest> {
        self.scheduler.finish(id, &mut self.pool);
        self.active.remove(&id)
    }

    fn step(&mut self) {
        let batch = self.scheduler.plan(&mut self.pool);
        for rejected in &batch.rejected {
            if let Some(request) = self.active.remove(&rejected.id) {
                request.fail(GenerationError::Compute(rejected.reason.to_string()));
            }
        }
        if batch.items.is_empty() {
            return;
        }
        if let Err(error) = self.compute(&batch) {
            // The step is shared: none of its sequences has a result.
            for item in &batch.items {
                if let Some(request) = self.drop_sequence(item.id) {
                    request.fail(GenerationError::Compute(error.to_string()));
                }
            }
        }
    }

    fn compute(&mut self, batch: &Batch) -> Result<(), KernelError> {
        let input = self.input(batch);
        let hidden = self
            .model
            .forward(&mut Step::new(&self.kernels, &input, &mut self.cache))?;
        let sampled: Vec<u32> = batch
            .items
            .iter()
            .zip(&input.spans)
            .filter(|(item, _)| item.needs_logits)
            .map(|(_, span)| span.rows.end as u32 - 1)
            .collect();
        let mut logits = if sampled.is_empty() {
            Vec::new()
        } else {
            let rows = self.kernels.rows(&hidden, &sampled)?;
            values(&self.model.head(&rows, &self.kernels)?)?
        };
        self.counters
            .note_step(input.tokens.len(), self.kernels.dispatches());
        let mut rows = logits.chunks_exact_mut(self.vocab_size);
        for item in &batch.items {
            let row = if item.needs_logits { rows.next() } else { None };
            match row {
                Some(row) => self.sample(item.id, row),
                None => self.commit(item.id, &[]),
            }
        }
        Ok(())
    }

    fn input(&self, batch: &Batch) -> ModelInput {
        let mut input = ModelInput {
            groups: vec![GroupInput::default(); self.pool.groups()],
            ..ModelInput::default()
        };
        for item in &batch.items {
            let tokens = self.scheduler.input(item);
            if let Some(cache) = self
                .scheduler
                .sequence(item.id)
                .and_then(|sequence| sequence.cache())
            {
                input.push(tokens, item.start, cache);
            }
        }
        input
    }

    fn sample(&mut self, id: SequenceId, logits: &mut [f32]) {
        let (Some(request), Some(sequence)) =
            (self.active.get_mut(&id), self.scheduler.sequence(id))
        else {
            return;
        };
        match request.advance(
            logits,
            sequence.tokens(),
            sequence.cached_tokens(),
            &self.limits,
        ) {
            Ok(Progress::Continue(token)) => self.commit(id, &[token]),
            Ok(Progress::Done) => {
                self.commit(id, &[]);
                self.drop_sequence(id);
            }
            Err(error) => {
                if let Some(request) = self.drop_sequence(id) {
                    request.fail(GenerationError::Compute(error.to_string()));
                }
            }
        }
    }

    fn commit(&mut self, id: SequenceId, tokens: &[u32]) {
        if let Err(error) = self.scheduler.commit(id, tokens)
            && let Some(request) = self.drop_sequence(id)
        {
            request.fail(GenerationError::Compute(error.to_string()));
        }
    }

    fn score(&mut self, command: Command) {
        match command {
            Command::Generate { .. } | Command::Settle { .. } => {}
            Command::Logits {
                tokens,
                chunk,
                reply,
            } => {
                let mut all = Vec::with_capacity(tokens.len() * self.vocab_size);
                let scored =
                    self.for_each_chunk(&tokens, chunk, |_, logits| all.extend_from_slice(logits));
                let result = scored.map(|()| Logits {
                    rows: tokens.len(),
                    vocab_size: self.vocab_size,
                    values: all,
                });
                // The caller may have gone away meanwhile.
                drop(reply.send(result));
            }
            Command::Logprobs { tokens, reply } => {
                let (chunk, vocab_size) = (self.max_batch_tokens.min(64), self.vocab_size);
                let mut all = Vec::with_capacity(tokens.len());
                let scored = self.for_each_chunk(&tokens, chunk, |start, logits| {
                    let following = tokens.get(start + 1..).unwrap_or_default();
                    all.extend(
                        logits
                            .chunks_exact(vocab_size)
                            .zip(following)
                            .map(|(row, &next)| logprob(row, next)),
                    );
                });
                drop(reply.send(scored.map(|()| all)));
            }
        }
    }

    /// Feeds `tokens` through the cache, `chunk` at a time, and hands the logits `[chunk, vocab]` of each to `visit` with
    /// the position of its first row.
    fn for_each_chunk(
        &mut self,
        tokens: &[u32],
        chunk: usize,
        mut visit: impl FnMut(usize, &[f32]),
    ) -> Result<(), RequestError> {
        let mut cache = self.pool.private();
        let result = self.score_chunks(&mut cache, tokens, chunk, &mut visit);
        self.pool.release(cache);
        result
    }

    fn score_chunks(
        &mut self,
        cache: &mut SequenceCache,
        tokens: &[u32],
        chunk: usize,
        visit: &mut impl FnMut(usize, &[f32]),
    ) -> Result<(), RequestError> {
        let failed = |error: &dyn std::fmt::Display| RequestError::Compute(error.to_string());
        for (index, part) in tokens.chunks(chunk).enumerate() {
            let start = index * chunk;
            self.pool
                .grow(cache, start + part.len())
                .map_err(|error| failed(&error))?;
            let mut input = ModelInput {
                groups: vec![GroupInput::default(); self.pool.groups()],
                ..ModelInput::default()
            };
            input.push(part, start, cache);
            let logits = self
                .model
                .forward(&mut Step::new(&self.kernels, &input, &mut self.cache))
                .and_then(|hidden| self.model.head(&hidden, &self.kernels))
                .and_then(|logits| values(&logits))
                .map_err(|error| failed(&error))?;
            self.counters
                .note_step(part.len(), self.kernels.dispatches());
            visit(start, &logits);
            self.pool.seal(cache, tokens, start + part.len());
        }
        Ok(())
    }
}

impl ModelInput {
    /// Adds rows of one sequence that start at position `start`.
    fn push(&mut self, tokens: &[u32], start: usize, cache: &SequenceCache) {
        let first_row = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.positions
            .extend((start..start + tokens.len()).map(|position| position as u32));
        self.spans.push(Span {
            rows: first_row..first_row + tokens.len(),
            first_position: start,
            mask: Mask::Causal,
        });
        for (group, input) in self.groups.iter_mut().enumerate() {
            let slots =
                (start..start + tokens.len()).filter_map(|position| cache.slot(group, position));
            input.slots.extend(slots.map(|slot| slot as u32));
            input.tables.push(
                cache
                    .table(group)
                    .blocks()
                    .iter()
                    .map(|block| block.0)
                    .collect(),
            );
        }
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f32>, KernelError> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
}

/// `log softmax(row)[token]`, summed in f64.
fn logprob(row: &[f32], token: u32) -> f32 {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row
        .iter()
        .map(|logit| f64::from(logit - largest).exp())
        .sum();
    (f64::from(row[token as usize] - largest) - sum.ln()) as f32
}

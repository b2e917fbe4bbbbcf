//! The thread that owns a model and its caches: commands in, one forward pass per step for all sequences, events out.
//! Nothing in a step takes a lock that another thread holds for long.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels};
use mlxm_kvcache::BlockPool;
use mlxm_scheduler::{Scheduled, Scheduler, Sequence, SequenceId, SequenceState};

use super::counters::{Counters, SharedStats};
use super::mailbox::ReaderWaker;
use super::sequence::{ActiveRequest, Limits, Progress};
use crate::error::{GenerationError, RequestError};
use crate::forward::CachePool;
use crate::forward::Model;
use crate::forward::{ModelInput, Step};
use crate::request::Logits;

/// What the worker is asked to do.
pub enum Command {
    /// Generate an answer.
    Generate {
        /// The prompt, and how it is scheduled.
        sequence: Sequence,
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
    PromoteHugePages {
        /// Where it is told that they are there.
        done: Sender<()>,
    },
    /// End everything that has been asked for.
    CancelAll,
}

/// Steps after which the time to settle the weights is well spent, even if something has to wait for it.
const STEPS_BEFORE_HUGE_PAGES: u64 = 64;

/// A model with everything it needs to run.
pub struct Worker {
    pub(super) kernels: Kernels,
    pub(super) counters: Counters,
    pub(super) report: Arc<SharedStats>,
    pub(super) model: Box<dyn Model>,
    pub(super) cache: CachePool,
    pub(super) pool: BlockPool,
    pub(super) scheduler: Scheduler,
    pub(super) limits: Limits,
    pub(super) vocab_size: usize,
    pub(super) max_batch_tokens: usize,
    pub(super) active: HashMap<SequenceId, Box<ActiveRequest>>,
    /// Requests that this turn ended; their readers do not know yet.
    pub(super) ended: Vec<ActiveRequest>,
    /// Scoring that waits until no answer is running: it needs a whole context of blocks for itself.
    pub(super) scoring: Vec<Command>,
    /// Whether the weights lie where they are read fastest, or are on their way.
    pub(super) huge_pages_promoted: bool,
    /// Time in_flight of the forward passes of this turn.
    pub(super) forward_time: Duration,
}

impl Worker {
    /// Runs until every handle is gone and every answer is complete.
    pub fn run(mut self, commands: &Receiver<Command>) {
        let mut open = true;
        while open || !self.active.is_empty() {
            if self.active.is_empty() && self.scoring.is_empty() {
                open = self.wait_for_command(commands);
            }
            open = self.tick(commands, open);
        }
    }

    /// One turn of the loop, with one step if there is something to compute. Says whether more commands can come.
    fn tick(&mut self, commands: &Receiver<Command>, mut open: bool) -> bool {
        let began = Instant::now();
        open = open && self.take_commands(commands);
        self.cancel_abandoned();
        if !self.ended.is_empty() {
            self.publish();
            self.reap_finished();
        }
        if self.active.is_empty() {
            for command in std::mem::take(&mut self.scoring) {
                self.score(command);
            }
        }
        self.forward_time = Duration::ZERO;
        let updated = if self.scheduler.is_idle() {
            Vec::new()
        } else {
            self.step(began)
        };
        self.publish();
        self.reap_finished();
        let bells: Vec<_> = updated
            .iter()
            .filter_map(|id| self.active.get_mut(id)?.send())
            .collect();
        if !bells.is_empty() {
            // Waking readers takes as long as some operations of a small model, and they may take this thread's core.
            self.kernels
                .spawn_background(|| bells.into_iter().for_each(ReaderWaker::wake));
        }
        if !self.forward_time.is_zero() {
            self.counters.forward_time += self.forward_time;
            self.counters.step_time += began.elapsed();
            self.publish();
        }
        self.promote_huge_pages_after(STEPS_BEFORE_HUGE_PAGES);
        open
    }

    /// Shows the state between two steps to whoever asks.
    pub fn publish(&self) {
        self.report
            .publish(&self.counters, &self.scheduler, &self.pool);
    }

    /// Lets go of requests that have ended. They have been published as gone before: whoever reads the end of an answer
    /// finds its blocks free.
    fn reap_finished(&mut self) {
        for request in self.ended.drain(..) {
            request.leave();
        }
    }

    /// Waits until there is something to do. Says whether more can come.
    fn wait_for_command(&mut self, commands: &Receiver<Command>) -> bool {
        self.promote_huge_pages_after(1);
        match commands.recv() {
            Ok(command) => {
                self.accept(command);
                true
            }
            Err(_) => false,
        }
    }

    /// Takes what has arrived. Says whether more can come.
    fn take_commands(&mut self, commands: &Receiver<Command>) -> bool {
        loop {
            match commands.try_recv() {
                Ok(command) => self.accept(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Settles the weights once so many steps have been done.
    fn promote_huge_pages_after(&mut self, steps: u64) {
        if !self.huge_pages_promoted && self.counters.steps >= steps {
            self.huge_pages_promoted = true;
            self.kernels.promote_huge_pages(|| {});
        }
    }

    fn accept(&mut self, command: Command) {
        match command {
            Command::Generate {
                sequence,
                mut request,
            } => {
                let id = sequence.id;
                match self.scheduler.add(sequence) {
                    Ok(()) => {
                        self.active.insert(id, request);
                    }
                    Err(error) => {
                        request.fail(GenerationError::Compute(error.to_string()));
                        self.ended.push(*request);
                    }
                }
            }
            Command::PromoteHugePages { done } => {
                self.huge_pages_promoted = true;
                // Nobody may be waiting any more.
                self.kernels.promote_huge_pages(move || {
                    let _ = done.send(());
                });
            }
            Command::Logits { .. } | Command::Logprobs { .. } => self.scoring.push(command),
            Command::CancelAll => {
                self.scoring.clear();
                let all: Vec<SequenceId> = self.active.keys().copied().collect();
                for id in all {
                    self.fail(id, GenerationError::Cancelled);
                }
            }
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
            self.end(id);
        }
    }

    /// Takes a sequence out, with all that it holds.
    fn end(&mut self, id: SequenceId) {
        self.scheduler.finish(id, &mut self.pool);
        self.ended
            .extend(self.active.remove(&id).map(|request| *request));
    }

    pub(super) fn fail(&mut self, id: SequenceId, error: GenerationError) {
        if let Some(request) = self.active.get_mut(&id) {
            request.fail(error);
        }
        self.end(id);
    }

    /// Computes one step. Answers with the sequences that have something to say.
    fn step(&mut self, began: Instant) -> Vec<SequenceId> {
        let batch = self.scheduler.schedule(&mut self.pool);
        self.counters.preemptions += batch.preempted.len() as u64;
        for rejected in &batch.rejected {
            let reason = rejected.reason.to_string();
            self.fail(rejected.id, GenerationError::Compute(reason));
        }
        for item in &batch.items {
            if let Some(request) = self.active.get_mut(&item.id) {
                request.record_step_start(began);
            }
        }
        if let Err(error) = self.compute(&batch.items) {
            self.retry_individually(&batch.items, &error);
        }
        batch.items.iter().map(|item| item.id).collect()
    }

    /// After a step failed as a whole: finds out by computing its sequences one by one which of them it was. What the
    /// step had stored is stored again, at the same places.
    fn retry_individually(&mut self, items: &[Scheduled], error: &KernelError) {
        for item in items {
            let alone = match items {
                [_] => Err(error.to_string()),
                _ => self
                    .compute(std::slice::from_ref(item))
                    .map_err(|error| error.to_string()),
            };
            if let Err(error) = alone {
                self.fail(item.id, GenerationError::Compute(error));
            }
        }
    }

    fn compute(&mut self, items: &[Scheduled]) -> Result<(), KernelError> {
        if items.is_empty() {
            return Ok(());
        }
        let input = self.input(items);
        let began = Instant::now();
        let (hidden, logits) = self.forward(items, &input)?;
        self.score_prompts(items, &input, &hidden)?;
        self.forward_time += began.elapsed();
        self.record_step(&input);
        for item in items {
            let prompt = self.active.get(&item.id).map_or(0, |r| r.prompt_tokens());
            let end = (item.start + item.count).min(prompt);
            self.counters.prompt_tokens += end.saturating_sub(item.start) as u64;
            if !item.needs_logits {
                self.commit(item.id, &[]);
            }
        }
        match logits {
            Some(logits) => self.sample(items, &logits),
            None => Ok(()),
        }
    }

    /// Hidden rows of all tokens, and logits of the rows that are wanted, in the order of the items; none if none is.
    fn forward(
        &mut self,
        items: &[Scheduled],
        input: &ModelInput,
    ) -> Result<(Tensor, Option<Tensor>), KernelError> {
        let mut step = Step::new(&self.kernels, input, &mut self.cache);
        let hidden = self.model.forward(&mut step)?;
        let wanted: Vec<u32> = items
            .iter()
            .zip(&input.spans)
            .filter(|(item, _)| item.needs_logits)
            .map(|(_, span)| span.rows.end as u32 - 1)
            .collect();
        if wanted.is_empty() {
            return Ok((hidden, None));
        }
        let rows = self.kernels.gather_rows(&hidden, &wanted)?;
        let logits = self.model.logits(&rows, &self.kernels)?;
        Ok((hidden, Some(logits)))
    }

    pub(super) fn record_step(&mut self, input: &ModelInput) {
        self.counters.steps += 1;
        self.counters.tokens += input.tokens.len() as u64;
        self.counters.dispatches = self.kernels.dispatches();
    }

    fn input(&self, items: &[Scheduled]) -> ModelInput {
        let mut input = ModelInput::new(self.pool.groups());
        for item in items {
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

    /// Chooses the next tokens, on all threads: each request has a row, a sampler and a text of its own.
    fn sample(&mut self, items: &[Scheduled], logits: &Tensor) -> Result<(), KernelError> {
        let sampled = items.iter().filter(|item| item.needs_logits);
        let ids: Vec<SequenceId> = sampled.map(|item| item.id).collect();
        let rows: Vec<Mutex<Row<'_>>> = ids
            .iter()
            .map(|id| {
                let sequence = self.scheduler.sequence(*id);
                Mutex::new(Row {
                    request: self.active.remove(id),
                    tokens: sequence.map_or(&[], SequenceState::tokens),
                    cached_tokens: sequence.map_or(0, SequenceState::cached_tokens),
                    outcome: None,
                })
            })
            .collect();
        let limits = &self.limits;
        let visited = self.kernels.for_each_row(logits, &|row, logits| {
            let mut row = rows[row].lock().unwrap_or_else(PoisonError::into_inner);
            row.sample(logits, limits);
        });
        let outcomes: Vec<_> = rows
            .into_iter()
            .map(|row| row.into_inner().unwrap_or_else(PoisonError::into_inner))
            .map(|row| (row.request, row.outcome))
            .collect();
        for (id, (request, outcome)) in ids.into_iter().zip(outcomes) {
            self.active.extend(request.map(|request| (id, request)));
            self.counters.generated_tokens += u64::from(matches!(outcome, Some(Ok(_))));
            match outcome {
                Some(Ok(Progress::Continue(token))) => self.commit(id, &[token]),
                Some(Ok(Progress::Done)) => {
                    self.commit(id, &[]);
                    self.end(id);
                }
                Some(Err(error)) => self.fail(id, error),
                None => {}
            }
        }
        visited
    }

    fn commit(&mut self, id: SequenceId, tokens: &[u32]) {
        if let Err(error) = self.scheduler.commit(id, tokens) {
            self.fail(id, GenerationError::Compute(error.to_string()));
        }
    }
}

/// A row of logits' request, while a thread chooses its token.
struct Row<'a> {
    request: Option<Box<ActiveRequest>>,
    /// Prompt and answer so far.
    tokens: &'a [u32],
    cached_tokens: usize,
    outcome: Option<Result<Progress, GenerationError>>,
}

impl Row<'_> {
    fn sample(&mut self, logits: &mut [f32], limits: &Limits) {
        if let Some(request) = &mut self.request {
            // A constraint is the caller's own code; its panic is not to take the other requests along.
            let advance = || request.advance(logits, self.tokens, self.cached_tokens, limits);
            let outcome = catch_unwind(AssertUnwindSafe(advance));
            self.outcome = Some(match outcome {
                Ok(outcome) => outcome.map_err(GenerationError::from),
                Err(_) => Err(GenerationError::Compute(
                    "choosing a token panicked; the log says where".into(),
                )),
            });
        }
    }
}

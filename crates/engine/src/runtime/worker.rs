//! The worker thread, which owns the model and its cache: it receives commands, computes all running sequences in one forward
//! pass per step and sends events. The locks it takes are only ever held for a moment.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mlxm_kernels::{KernelError, Kernels, Rows};
use mlxm_kvcache::BlockPool;
use mlxm_scheduler::{Scheduled, Scheduler, Sequence, SequenceId, SequenceState};

use super::mailbox::ReceiverWaker;
use super::sequence::{ActiveRequest, Limits, Progress};
use super::stats::{Counters, SharedStats};
use super::step_limit::StepLimit;
use crate::cancel::CancelToken;
use crate::error::{GenerationError, RequestError};
use crate::forward::CachePool;
use crate::forward::Model;
use crate::forward::{ModelInput, Step};
use crate::request::Logits;

/// A command to the worker.
pub enum Command {
    /// Start a generation.
    Generate {
        /// The prompt and the scheduling parameters.
        sequence: Sequence,
        /// The rest of the request.
        request: Box<ActiveRequest>,
    },
    /// Compute the logits of every position.
    Logits {
        /// The tokens.
        tokens: Vec<u32>,
        /// Tokens per forward pass.
        chunk: usize,
        /// Set when the caller no longer waits.
        cancel: CancelToken,
        /// Where the result goes.
        reply: Sender<Result<Logits, RequestError>>,
    },
    /// Compute the log-probability of every token except the first.
    Logprobs {
        /// The tokens.
        tokens: Vec<u32>,
        /// Set when the caller no longer waits.
        cancel: CancelToken,
        /// Where the result goes.
        reply: Sender<Result<Vec<f32>, RequestError>>,
    },
    /// Move the weights to huge pages.
    PromoteHugePages {
        /// Notified when that is done.
        done: Sender<()>,
    },
    /// Compute on another number of threads.
    SetThreads(usize),
    /// Cancel all requests.
    CancelAll,
}

/// Steps after which the weights are moved to huge pages even if requests are running, which delays them.
const STEPS_BEFORE_HUGE_PAGES: u64 = 64;

/// A model with everything it needs to run.
pub struct Worker {
    pub(super) kernels: Kernels,
    pub(super) counters: Counters,
    pub(super) stats: Arc<SharedStats>,
    pub(super) model: Box<dyn Model>,
    pub(super) cache: CachePool,
    pub(super) pool: BlockPool,
    pub(super) scheduler: Scheduler,
    pub(super) limits: Limits,
    pub(super) vocab_size: usize,
    pub(super) max_batch_tokens: usize,
    pub(super) step_limit: StepLimit,
    pub(super) active: HashMap<SequenceId, Box<ActiveRequest>>,
    /// Requests that ended and whose last events have not been sent.
    pub(super) finished: Vec<ActiveRequest>,
    /// Scoring commands. They need the blocks of a whole context and wait until no generation is running.
    pub(super) pending_scoring: Vec<Command>,
    /// Whether the weights are in huge pages or being moved there.
    pub(super) huge_pages_promoted: bool,
    /// Time spent in forward passes of the current iteration.
    pub(super) forward_time: Duration,
}

impl Worker {
    /// Runs until all handles are dropped and all generations are complete.
    pub fn run(mut self, commands: &Receiver<Command>) {
        let mut connected = true;
        while connected || !self.active.is_empty() {
            if self.active.is_empty() && self.pending_scoring.is_empty() {
                connected = self.wait_for_command(commands);
            }
            connected = self.tick(commands, connected);
        }
    }

    /// One iteration of the loop, with one step if there is something to compute. Returns whether the channel is connected.
    fn tick(&mut self, commands: &Receiver<Command>, mut connected: bool) -> bool {
        let start = Instant::now();
        connected = connected && self.receive_commands(commands);
        self.cancel_abandoned();
        if !self.finished.is_empty() {
            self.publish();
            self.reap_finished();
        }
        if self.active.is_empty() {
            for command in std::mem::take(&mut self.pending_scoring) {
                self.score(command);
            }
        }
        self.forward_time = Duration::ZERO;
        let tokens = self.counters.tokens;
        let updated = if self.scheduler.is_idle() {
            Vec::new()
        } else {
            self.step(start)
        };
        self.publish();
        self.reap_finished();
        let wakers: Vec<_> = updated
            .iter()
            .filter_map(|id| self.active.get_mut(id)?.send())
            .collect();
        if !wakers.is_empty() {
            // Waking is a system call and may preempt the waking thread, so another thread does it.
            self.kernels
                .spawn_background(|| wakers.into_iter().for_each(ReceiverWaker::wake));
        }
        if !self.forward_time.is_zero() {
            let step_time = start.elapsed();
            self.counters.forward_time += self.forward_time;
            self.counters.step_time += step_time;
            self.counters.longest_step = self.counters.longest_step.max(step_time);
            let tokens = (self.counters.tokens - tokens) as usize;
            if let Some(limit) = self.step_limit.record(tokens, step_time) {
                self.scheduler.limit_step_tokens(limit);
            }
            self.publish();
        }
        self.promote_huge_pages_after(STEPS_BEFORE_HUGE_PAGES);
        connected
    }

    /// Publishes the statistics.
    pub fn publish(&self) {
        let threads = self.kernels.threads();
        self.stats
            .publish(&self.counters, &self.scheduler, &self.pool, threads);
    }

    /// Sends the last events of finished requests. Must be called after [`publish`](Self::publish): a caller who has received
    /// the last event sees the request's blocks as free.
    fn reap_finished(&mut self) {
        for request in self.finished.drain(..) {
            request.release();
        }
    }

    /// Waits for a command. Returns whether the channel is connected.
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

    /// Executes the commands that have arrived. Returns whether the channel is connected.
    fn receive_commands(&mut self, commands: &Receiver<Command>) -> bool {
        loop {
            match commands.try_recv() {
                Ok(command) => self.accept(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Moves the weights to huge pages, once `steps` steps have been computed.
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
                        self.finished.push(*request);
                    }
                }
            }
            Command::PromoteHugePages { done } => {
                self.huge_pages_promoted = true;
                self.kernels.promote_huge_pages(move || {
                    // Fails if the caller no longer waits.
                    let _ = done.send(());
                });
            }
            Command::SetThreads(threads) => self.kernels.set_threads(threads),
            Command::Logits { .. } | Command::Logprobs { .. } => self.pending_scoring.push(command),
            Command::CancelAll => {
                self.pending_scoring.clear();
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
            self.remove(id);
        }
    }

    /// Removes a request from the scheduler and frees its blocks.
    fn remove(&mut self, id: SequenceId) {
        self.scheduler.finish(id, &mut self.pool);
        self.finished
            .extend(self.active.remove(&id).map(|request| *request));
    }

    pub(super) fn fail(&mut self, id: SequenceId, error: GenerationError) {
        if let Some(request) = self.active.get_mut(&id) {
            request.fail(error);
        }
        self.remove(id);
    }

    /// Schedules and computes one step. Returns the ids of the sequences in it.
    fn step(&mut self, start: Instant) -> Vec<SequenceId> {
        let batch = self.scheduler.schedule(&mut self.pool);
        self.counters.preemptions += batch.preempted.len() as u64;
        for rejected in &batch.rejected {
            let reason = rejected.reason.to_string();
            self.fail(rejected.id, GenerationError::Compute(reason));
        }
        for item in &batch.items {
            if let Some(request) = self.active.get_mut(&item.id) {
                request.record_step_start(start);
            }
        }
        if let Err(error) = self.compute(&batch.items) {
            self.retry_individually(&batch.items, &error);
        }
        batch.items.iter().map(|item| item.id).collect()
    }

    /// Computes the sequences of a failed step one by one, so that only those that cause the error fail. Keys and values that
    /// the step already stored are overwritten with the same values.
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
        let start = Instant::now();
        let Forward {
            hidden,
            logits,
            largest,
        } = self.forward(items, &input)?;
        self.score_prompts(items, &input, &hidden)?;
        self.forward_time += start.elapsed();
        self.record_step(&input);
        for item in items {
            let sequence = self.scheduler.sequence(item.id);
            let cached = sequence.map_or(0, SequenceState::cached_tokens);
            if let Some(request) = self.active.get_mut(&item.id) {
                let end = (item.start + item.count).min(request.prompt_tokens());
                self.counters.prompt_tokens += end.saturating_sub(item.start) as u64;
                request.record_prefill(end, cached);
            }
            if !item.needs_logits {
                self.commit(item.id, &[]);
            }
        }
        match logits {
            Some(logits) => self.sample(items, logits, largest),
            None => Ok(()),
        }
    }

    fn forward(&mut self, items: &[Scheduled], input: &ModelInput) -> Result<Forward, KernelError> {
        let takes_largest = |item: &Scheduled| {
            let request = self.active.get(&item.id);
            item.needs_logits && request.is_some_and(|request| request.takes_largest())
        };
        let computes_largest = self.kernels.has_argmax() && items.iter().any(takes_largest);
        let last_rows: Vec<u32> = items
            .iter()
            .zip(&input.spans)
            .filter(|(item, _)| item.needs_logits)
            .map(|(_, span)| span.rows.end as u32 - 1)
            .collect();
        let mut step = Step::new(&self.kernels, input, &mut self.cache)?;
        let hidden = self.model.forward(&mut step)?;
        let mut pass = step.pass;
        let logits = if last_rows.is_empty() {
            None
        } else {
            let indices = pass.indices(&last_rows);
            let rows = pass.gather_rows(&hidden, indices)?;
            Some(self.model.logits(&rows, &mut pass)?)
        };
        let largest = match &logits {
            Some(logits) if computes_largest => Some(pass.argmax(logits)?),
            _ => None,
        };
        pass.finish()?;
        Ok(Forward {
            hidden,
            logits,
            largest,
        })
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

    /// Samples the next token of each request, in parallel on all threads.
    fn sample(
        &mut self,
        items: &[Scheduled],
        logits: Rows,
        largest: Option<Rows>,
    ) -> Result<(), KernelError> {
        let pending = self.kernels.sample(logits, largest)?;
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
        let result = pending.for_each_row(|row, logits, largest| {
            let mut row = rows[row].lock().unwrap_or_else(PoisonError::into_inner);
            row.sample(logits, largest, limits);
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
                Some(Ok(Progress::Finished)) => {
                    self.commit(id, &[]);
                    self.remove(id);
                }
                Some(Err(error)) => self.fail(id, error),
                None => {}
            }
        }
        result
    }

    fn commit(&mut self, id: SequenceId, tokens: &[u32]) {
        if let Err(error) = self.scheduler.commit(id, tokens) {
            self.fail(id, GenerationError::Compute(error.to_string()));
        }
    }
}

/// The results of a forward pass.
struct Forward {
    /// Of all tokens.
    hidden: Rows,
    /// Of the items that need them, in the order of the items; `None` if none does.
    logits: Option<Rows>,
    /// The largest logits, if the device finds them and an item takes them.
    largest: Option<Rows>,
}

/// The request of a row of logits, while one of the threads samples its token.
struct Row<'a> {
    request: Option<Box<ActiveRequest>>,
    /// The prompt and the tokens generated so far.
    tokens: &'a [u32],
    cached_tokens: usize,
    outcome: Option<Result<Progress, GenerationError>>,
}

impl Row<'_> {
    fn sample(&mut self, logits: &mut [f32], largest: Option<u32>, limits: &Limits) {
        if let Some(request) = &mut self.request {
            // Constraints are code of the caller: a panic in one must not end the other requests.
            let advance =
                || request.advance(logits, largest, self.tokens, self.cached_tokens, limits);
            let outcome = catch_unwind(AssertUnwindSafe(advance));
            self.outcome = Some(match outcome {
                Ok(outcome) => outcome.map_err(GenerationError::from),
                Err(_) => Err(GenerationError::Compute(
                    "sampling a token panicked; see the log for the location".into(),
                )),
            });
        }
    }
}

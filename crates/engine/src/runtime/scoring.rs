//! Logits and log-probabilities of given tokens: by command, while no generation is running, and of the prompts of requests
//! that ask for them.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use mlxm_kernels::{KernelError, Rows};
use mlxm_kvcache::SequenceCache;
use mlxm_scheduler::{Scheduled, SequenceState};

use super::admission::Permit;
use super::worker::{Command, Worker};
use crate::cancel::CancelToken;
use crate::error::RequestError;
use crate::forward::{ModelInput, Step};
use crate::request::Logits;

/// Rows of logits computed at a time, to limit memory: a row is as long as the vocabulary.
const ROWS_PER_CHUNK: usize = 32;

/// A computation of logits or log-probabilities. Dropping it cancels the computation within one chunk of tokens.
#[derive(Debug)]
pub struct Scoring<T> {
    result: Receiver<Result<T, RequestError>>,
    cancel: CancelToken,
    _permit: Permit,
}

impl<T> Scoring<T> {
    pub(super) fn new(result: Receiver<Result<T, RequestError>>, permit: Permit) -> Self {
        Self {
            result,
            cancel: CancelToken::default(),
            _permit: permit,
        }
    }

    pub(super) fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// When the computation failed or the engine has stopped.
    pub fn wait(self) -> Result<T, RequestError> {
        self.result.recv().map_err(|_| RequestError::Stopped)?
    }

    /// Waits at most `timeout` for the result, which is returned only once.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<T, RequestError>> {
        match self.result.recv_timeout(timeout) {
            Ok(result) => Some(result),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(RequestError::Stopped)),
        }
    }
}

impl<T> Drop for Scoring<T> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Worker {
    /// Executes a command that scores tokens.
    pub(super) fn score(&mut self, command: Command) {
        match command {
            Command::Generate { .. }
            | Command::PromoteHugePages { .. }
            | Command::SetThreads(_)
            | Command::CancelAll => {}
            Command::Logits {
                tokens,
                chunk,
                cancel,
                reply,
            } => {
                let mut values = Vec::with_capacity(tokens.len() * self.vocab_size);
                let scored = self.for_each_chunk(&tokens, chunk, &cancel, |_, logits| {
                    values.extend_from_slice(logits);
                });
                let result = scored.map(|()| Logits {
                    rows: tokens.len(),
                    vocab_size: self.vocab_size,
                    values,
                });
                // Fails if the caller no longer waits for the result.
                drop(reply.send(result));
            }
            Command::Logprobs {
                tokens,
                cancel,
                reply,
            } => {
                let (chunk, vocab_size) = (self.max_batch_tokens.min(64), self.vocab_size);
                let mut logprobs = Vec::with_capacity(tokens.len());
                let scored = self.for_each_chunk(&tokens, chunk, &cancel, |start, logits| {
                    let following = tokens.get(start + 1..).unwrap_or_default();
                    logprobs.extend(
                        logits
                            .chunks_exact(vocab_size)
                            .zip(following)
                            .map(|(row, &next)| logprob(row, next)),
                    );
                });
                drop(reply.send(scored.map(|()| logprobs)));
            }
        }
    }

    /// Computes log-probabilities of the prompt tokens in a step, for the requests that ask for them. `hidden` has a row per
    /// token of the step.
    pub(super) fn score_prompts(
        &mut self,
        items: &[Scheduled],
        input: &ModelInput,
        hidden: &Rows,
    ) -> Result<(), KernelError> {
        let mut failed = Vec::new();
        for (item, span) in items.iter().zip(&input.spans) {
            let request = self.active.get_mut(&item.id);
            let Some(request) = request.filter(|request| request.wants_prompt_logprobs()) else {
                continue;
            };
            let sequence = self.scheduler.sequence(item.id);
            let tokens = sequence.map_or(&[][..], SequenceState::tokens);
            let prompt = &tokens[..request.prompt_tokens().min(tokens.len())];
            let rows: Vec<u32> = span.rows.clone().map(|row| row as u32).collect();
            for (rows, first) in rows
                .chunks(ROWS_PER_CHUNK)
                .zip((span.first_position..).step_by(ROWS_PER_CHUNK))
            {
                let mut pass = self.kernels.begin();
                let indices = pass.indices(rows);
                let rows = pass.gather_rows(hidden, indices)?;
                let logits = self.model.logits(&rows, &mut pass)?;
                pass.finish()?;
                let logits = self.kernels.read(&logits)?;
                for (logits, position) in logits.chunks_exact(self.vocab_size).zip(first..) {
                    if let Some(&next) = prompt.get(position + 1)
                        && let Err(error) = request.score_prompt_token(position, logits, next)
                    {
                        failed.push((item.id, error));
                    }
                }
            }
        }
        for (id, error) in failed {
            self.fail(id, error.into());
        }
        Ok(())
    }

    /// Computes `tokens` through the cache, `chunk` tokens at a time. Calls `visit` with the position of each chunk's first
    /// row and the chunk's logits `[chunk, vocab]`. Stops before the next chunk once `cancel` is cancelled.
    fn for_each_chunk(
        &mut self,
        tokens: &[u32],
        chunk: usize,
        cancel: &CancelToken,
        mut visit: impl FnMut(usize, &[f32]),
    ) -> Result<(), RequestError> {
        // A command that waited for generations may have been cancelled meanwhile.
        check(cancel)?;
        let mut cache = self.pool.sequence_without_prefix_caching();
        let result = self.score_chunks(&mut cache, tokens, chunk, |start, logits| {
            visit(start, logits);
            check(cancel)
        });
        self.pool.release(cache);
        result
    }

    fn score_chunks(
        &mut self,
        cache: &mut SequenceCache,
        tokens: &[u32],
        chunk: usize,
        mut visit: impl FnMut(usize, &[f32]) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        let compute_error =
            |error: &dyn std::fmt::Display| RequestError::Compute(error.to_string());
        for (index, part) in tokens.chunks(chunk).enumerate() {
            let start = index * chunk;
            self.pool
                .allocate_slots(cache, start + part.len())
                .map_err(|error| compute_error(&error))?;
            let mut input = ModelInput::new(self.pool.groups());
            input.push(part, start, cache);
            let logits = self
                .all_logits(&input)
                .map_err(|error| compute_error(&error))?;
            self.record_step(&input);
            visit(start, &logits)?;
            self.pool
                .cache_full_blocks(cache, tokens, start + part.len());
        }
        Ok(())
    }

    /// Logits `[T, vocab]` of all tokens of the input.
    fn all_logits(&mut self, input: &ModelInput) -> Result<Vec<f32>, KernelError> {
        let mut step = Step::new(&self.kernels, input, &mut self.cache)?;
        let hidden = self.model.forward(&mut step)?;
        let logits = self.model.logits(&hidden, &mut step.pass)?;
        step.pass.finish()?;
        self.kernels.read(&logits)
    }
}

fn check(cancel: &CancelToken) -> Result<(), RequestError> {
    if cancel.is_cancelled() {
        Err(RequestError::Cancelled)
    } else {
        Ok(())
    }
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

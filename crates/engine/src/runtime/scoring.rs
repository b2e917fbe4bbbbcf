//! Logits and log-probabilities of given tokens: those that the worker computes while no answer is running, and those of
//! the prompts of answers.

use candle_core::Tensor;
use mlxm_kernels::KernelError;
use mlxm_kvcache::SequenceCache;
use mlxm_scheduler::{Scheduled, SequenceState};

use super::worker::{Command, Worker};
use crate::error::RequestError;
use crate::forward::{ModelInput, Step};
use crate::request::Logits;

/// Rows of logits that are computed together: a prompt has many, and each is as long as the vocabulary.
const SCORED_AT_ONCE: usize = 32;

impl Worker {
    /// Carries out one of the commands that score tokens.
    pub(super) fn score(&mut self, command: Command) {
        match command {
            Command::Generate { .. } | Command::PromoteHugePages { .. } | Command::CancelAll => {}
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

    /// Scores the prompt's tokens of a step for the requests that want it; `hidden` has a row for each token.
    pub(super) fn score_prompts(
        &mut self,
        items: &[Scheduled],
        input: &ModelInput,
        hidden: &Tensor,
    ) -> Result<(), KernelError> {
        let mut failed = Vec::new();
        for (item, span) in items.iter().zip(&input.spans) {
            let request = self.active.get_mut(&item.id);
            let Some(request) = request.filter(|request| request.scores_prompt()) else {
                continue;
            };
            let sequence = self.scheduler.sequence(item.id);
            let tokens = sequence.map_or(&[][..], SequenceState::tokens);
            let prompt = &tokens[..request.prompt_tokens().min(tokens.len())];
            let rows: Vec<u32> = span.rows.clone().map(|row| row as u32).collect();
            for (rows, first) in rows
                .chunks(SCORED_AT_ONCE)
                .zip((span.first_position..).step_by(SCORED_AT_ONCE))
            {
                let rows = self.kernels.gather_rows(hidden, rows)?;
                let logits = values(&self.model.logits(&rows, &self.kernels)?)?;
                for (logits, position) in logits.chunks_exact(self.vocab_size).zip(first..) {
                    if let Some(&next) = prompt.get(position + 1)
                        && let Err(error) = request.score(position, logits, next)
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

    /// Feeds `tokens` through the cache, `chunk` at a time, and hands the logits `[chunk, vocab]` of each to `visit` with
    /// the position of its first row.
    fn for_each_chunk(
        &mut self,
        tokens: &[u32],
        chunk: usize,
        mut visit: impl FnMut(usize, &[f32]),
    ) -> Result<(), RequestError> {
        let mut cache = self.pool.sequence_without_prefix_caching();
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
                .allocate_slots(cache, start + part.len())
                .map_err(|error| failed(&error))?;
            let mut input = ModelInput::new(self.pool.groups());
            input.push(part, start, cache);
            let logits = self
                .model
                .forward(&mut Step::new(&self.kernels, &input, &mut self.cache))
                .and_then(|hidden| self.model.logits(&hidden, &self.kernels))
                .and_then(|logits| values(&logits))
                .map_err(|error| failed(&error))?;
            self.record_step(&input);
            visit(start, &logits);
            self.pool
                .cache_full_blocks(cache, tokens, start + part.len());
        }
        Ok(())
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

//! One request while it runs: its sampler, its text, its limits and its reader.

use std::time::Instant;

use super::admission::Permit;
use super::mailbox::{ReaderWaker, Sender};
use super::memory::peak_resident_bytes;
use crate::error::GenerationError;
use crate::request::{
    Event, FinishReason, Finished, LengthCause, Request, RequestMetrics, StopCause, Token,
};
use crate::sampling::{
    Acceptance, Constraint, Sampled, Sampler, SamplingError, StopMatcher, TokenLogprob,
};
use crate::text::{Detokenizer, Tokenizer};

/// The limits that every answer of an engine has.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Prompt and answer together.
    pub context_length: usize,
    /// Tokens that end an answer.
    pub eos_token_ids: Vec<u32>,
}

/// A request while it runs. The tokens themselves belong to the scheduler.
pub struct ActiveRequest {
    events: Sender<Result<Event, GenerationError>>,
    /// What the reader is told once the step is over.
    pending_events: Vec<Result<Event, GenerationError>>,
    permit: Permit,
    sampler: Sampler,
    constraint: Option<Box<dyn Constraint>>,
    detokenizer: Detokenizer,
    stop: StopMatcher,
    prompt_tokens: usize,
    /// How many tokens get a log-probability at each place of the prompt.
    prompt_logprobs: Option<usize>,
    /// Of the prompt's tokens behind the first.
    scored: Vec<TokenLogprob>,
    max_tokens: usize,
    ignore_eos: bool,
    submitted: Instant,
    started: Option<Instant>,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    generated: Vec<u32>,
}

/// Whether a request goes on after a token.
pub enum Progress {
    /// It does: this token joins the sequence.
    Continue(u32),
    /// It is complete.
    Done,
}

impl ActiveRequest {
    /// Prepares a request that has a place in the engine.
    ///
    /// # Errors
    /// When a sampling value is out of range or a stop string is empty.
    pub fn new(
        request: &Request,
        tokenizer: &Tokenizer,
        vocab_size: usize,
        events: Sender<Result<Event, GenerationError>>,
        permit: Permit,
    ) -> Result<Self, SamplingError> {
        let stop = StopMatcher::new(request.stop.clone())?;
        Ok(Self {
            events,
            pending_events: Vec::new(),
            permit,
            sampler: Sampler::new(request.sampling.clone(), vocab_size)?,
            constraint: request.constraint.clone(),
            detokenizer: tokenizer.detokenizer_keeping_special(request.keep_special_tokens.clone()),
            stop,
            prompt_tokens: request.prompt.len(),
            prompt_logprobs: request.prompt_logprobs,
            scored: Vec::new(),
            max_tokens: request.max_tokens.unwrap_or(usize::MAX),
            ignore_eos: request.ignore_eos && request.constraint.is_none(),
            submitted: Instant::now(),
            started: None,
            first_token: None,
            last_token: None,
            generated: Vec::new(),
        })
    }

    /// Whether nobody reads the answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.events.is_abandoned()
    }

    /// Tokens of the prompt.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Whether the tokens of the prompt are to be scored.
    pub fn scores_prompt(&self) -> bool {
        self.prompt_logprobs.is_some() && self.scored.len() + 1 < self.prompt_tokens
    }

    /// Scores `next`, the token behind `position` of the prompt. What was computed before, and had to be computed again, is
    /// not scored twice.
    ///
    /// # Errors
    /// When the logits are not numbers.
    pub fn score(
        &mut self,
        position: usize,
        logits: &[f32],
        next: u32,
    ) -> Result<(), SamplingError> {
        if let Some(count) = self.prompt_logprobs
            && position == self.scored.len()
        {
            self.scored.push(self.sampler.score(logits, next, count)?);
        }
        Ok(())
    }

    /// Notes that a step that began at `now` computes a part of the request.
    pub fn record_step_start(&mut self, now: Instant) {
        self.started.get_or_insert(now);
    }

    /// Tells the reader at the end of the step that the request failed.
    pub fn fail(&mut self, error: GenerationError) {
        self.pending_events.push(Err(error));
    }

    /// Hands over what the step brought. The bell tells the reader.
    pub fn send(&mut self) -> Option<ReaderWaker<Result<Event, GenerationError>>> {
        (!self.pending_events.is_empty()).then(|| self.events.put(self.pending_events.drain(..)))
    }

    /// Gives the place back and tells the reader what came last. In this order, so that whoever has read the end of an
    /// answer finds room for the next.
    pub fn leave(self) {
        drop(self.permit);
        // The end of the queue wakes the reader, too.
        drop(self.events.put(self.pending_events));
    }

    /// Samples the next token of `sequence` (prompt and answer so far).
    ///
    /// # Errors
    /// When the logits are not numbers, or the constraint fails.
    pub fn advance(
        &mut self,
        logits: &mut [f32],
        sequence: &[u32],
        cached_tokens: usize,
        limits: &Limits,
    ) -> Result<Progress, SamplingError> {
        let constraint = self.constraint.as_deref_mut();
        let Sampled { token, logprob } =
            self.sampler
                .sample_constrained(constraint, logits, sequence, &self.generated)?;
        let now = Instant::now();
        self.first_token.get_or_insert(now);
        self.last_token = Some(now);
        self.generated.push(token);

        if !self.ignore_eos && limits.eos_token_ids.contains(&token) {
            let held_back = self.flush();
            self.finish(
                FinishReason::Stop(StopCause::EndOfSequence(token)),
                held_back,
                cached_tokens,
            );
            return Ok(Progress::Done);
        }
        let complete = match &mut self.constraint {
            Some(constraint) => constraint.accept(token)? == Acceptance::Terminated,
            None => false,
        };
        let piece = self.stop.push(&self.detokenizer.push(token));
        let stopped = piece.stopped;
        self.pending_events.push(Ok(Event::Token(Token {
            id: token,
            text: piece.text,
            logprob,
        })));
        if let Some(stop) = stopped {
            self.finish(
                FinishReason::Stop(StopCause::StopString(stop)),
                String::new(),
                cached_tokens,
            );
            return Ok(Progress::Done);
        }
        let reason = if complete {
            FinishReason::Stop(StopCause::ConstraintComplete)
        } else if self.generated.len() >= self.max_tokens {
            FinishReason::Length(LengthCause::MaxTokens)
        } else if self.prompt_tokens + self.generated.len() >= limits.context_length {
            FinishReason::Length(LengthCause::ContextLength)
        } else {
            return Ok(Progress::Continue(token));
        };
        let held_back = self.flush();
        self.finish(reason, held_back, cached_tokens);
        Ok(Progress::Done)
    }

    /// Text still held back by the detokenizer and the stop strings. A stop string may complete here.
    fn flush(&mut self) -> String {
        let piece = self.stop.push(&self.detokenizer.finish());
        let stopped = piece.stopped.is_some();
        let mut text = piece.text;
        if !stopped {
            text.push_str(&self.stop.finish());
        }
        text
    }

    fn finish(&mut self, reason: FinishReason, text: String, cached_tokens: usize) {
        let submitted = self.submitted;
        let first_token = self.first_token.unwrap_or(submitted);
        let started = self.started.unwrap_or(first_token);
        let metrics = RequestMetrics {
            prompt_tokens: self.prompt_tokens,
            cached_tokens,
            generated_tokens: self.generated.len(),
            queue_time: started.saturating_duration_since(submitted),
            time_to_first_token: first_token - submitted,
            generation_time: self.last_token.unwrap_or(first_token) - first_token,
            peak_memory_bytes: peak_resident_bytes(),
        };
        self.pending_events.push(Ok(Event::Finished(Finished {
            reason,
            text,
            metrics,
            prompt_logprobs: std::mem::take(&mut self.scored),
        })));
    }
}

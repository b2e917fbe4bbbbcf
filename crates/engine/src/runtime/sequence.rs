//! The state of a submitted request: sampler, constraint, text, limits, timings, and the channel for its events.

use std::time::{Duration, Instant};

use super::admission::Permit;
use super::machine_memory::peak_resident_bytes;
use super::mailbox::{ReceiverWaker, Sender};
use crate::error::GenerationError;
use crate::request::{
    Event, FinishReason, Finished, LengthCause, PrefillProgress, Request, RequestMetrics, Started,
    StopCause, Token,
};
use crate::sampling::{
    Acceptance, Constraint, Piece, Sampled, Sampler, SamplingError, StopMatcher, TokenLogprob,
};
use crate::text::{Detokenizer, Tokenizer};

/// The limits that apply to every request of an engine.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most tokens of prompt and completion together.
    pub context_length: usize,
    /// End-of-sequence tokens.
    pub eos_token_ids: Vec<u32>,
}

/// A request in the engine, waiting or running. Its token sequence belongs to the scheduler.
pub struct ActiveRequest {
    events: Sender<Result<Event, GenerationError>>,
    /// Sent at the end of the step.
    pending_events: Vec<Result<Event, GenerationError>>,
    permit: Permit,
    sampler: Sampler,
    constraint: Option<Box<dyn Constraint>>,
    detokenizer: Detokenizer,
    stop: StopMatcher,
    text: TextProgress,
    prompt_tokens: usize,
    /// Most probable alternatives reported for each token of the prompt.
    prompt_logprobs: Option<usize>,
    /// Log-probabilities of the prompt's tokens, from the second token on.
    scored: Vec<TokenLogprob>,
    max_tokens: usize,
    ignore_eos: bool,
    reports_prefill: bool,
    submitted: Instant,
    step_started: Option<Instant>,
    /// Set with the first token.
    started: Option<Started>,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    generated: Vec<u32>,
}

/// How far the text of a request is.
#[derive(Debug, Default)]
struct TextProgress {
    /// Bytes before the text of each token.
    token_starts: Vec<usize>,
    /// Bytes of the text of all tokens.
    generated_bytes: usize,
    /// Bytes that are certain to be part of the completion.
    sent_bytes: usize,
    /// Whether a stop string ended the text.
    stopped: bool,
}

impl TextProgress {
    /// Tokens at the end whose text is after the end of the completion.
    fn tokens_past_end(&self) -> usize {
        if self.stopped { self.held_back() } else { 0 }
    }

    /// Tokens at the end of whose text nothing was sent.
    fn held_back(&self) -> usize {
        let starts = self.token_starts.iter().rev();
        starts
            .take_while(|start| **start >= self.sent_bytes)
            .count()
    }
}

/// Whether a request continues after a sampled token.
pub enum Progress {
    /// Append this token to the sequence and continue.
    Continue(u32),
    /// The generation is complete.
    Finished,
}

impl ActiveRequest {
    /// The state of a request that was admitted with `permit` and sends its events to `events`.
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
        let mut detokenizer =
            tokenizer.detokenizer_keeping_special(request.keep_special_tokens.clone());
        if request.continues_prompt && request.constraint.is_none() {
            detokenizer.continue_from(&request.prompt);
        }
        Ok(Self {
            events,
            pending_events: Vec::new(),
            permit,
            sampler: Sampler::new(request.sampling.clone(), vocab_size)?,
            constraint: request.constraint.clone(),
            detokenizer,
            stop,
            text: TextProgress::default(),
            prompt_tokens: request.prompt.len(),
            prompt_logprobs: request.prompt_logprobs,
            scored: Vec::new(),
            max_tokens: request.max_tokens.unwrap_or(usize::MAX),
            ignore_eos: request.ignore_eos && request.constraint.is_none(),
            reports_prefill: request.reports_prefill,
            submitted: Instant::now(),
            step_started: None,
            started: None,
            first_token: None,
            last_token: None,
            generated: Vec::new(),
        })
    }

    /// Whether the caller dropped the generation.
    pub fn is_abandoned(&self) -> bool {
        self.events.is_abandoned()
    }

    /// Number of prompt tokens.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Whether log-probabilities of prompt tokens are requested and not complete.
    pub fn wants_prompt_logprobs(&self) -> bool {
        self.prompt_logprobs.is_some() && self.scored.len() + 1 < self.prompt_tokens
    }

    /// Records the log-probability of `next`, the prompt token at `position + 1`, given the logits at `position`. Positions
    /// that are recomputed after a preemption are skipped.
    ///
    /// # Errors
    /// When a logit is NaN or infinite.
    pub fn score_prompt_token(
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

    /// Records that a step that started at `step_start` computes a part of the request.
    pub fn record_step_start(&mut self, step_start: Instant) {
        self.step_started.get_or_insert(step_start);
    }

    /// Records that `computed_tokens` prompt tokens are in the KV cache, `cached_tokens` of them from the prefix cache. Steps
    /// after the first token, which may recompute the prompt after a preemption, are not reported.
    pub fn record_prefill(&mut self, computed_tokens: usize, cached_tokens: usize) {
        if !self.reports_prefill || self.first_token.is_some() {
            return;
        }
        let progress = PrefillProgress {
            prompt_tokens: self.prompt_tokens,
            cached_tokens,
            computed_tokens,
            time: self
                .step_started
                .map_or(Duration::ZERO, |start| start.elapsed()),
        };
        self.pending_events.push(Ok(Event::Prefill(progress)));
    }

    /// Queues an error as the last event.
    pub fn fail(&mut self, error: GenerationError) {
        self.pending_events.push(Err(error));
    }

    /// Sends the pending events. Returns the waker of the receiver if there were any.
    pub fn send(&mut self) -> Option<ReceiverWaker<Result<Event, GenerationError>>> {
        (!self.pending_events.is_empty()).then(|| self.events.put(self.pending_events.drain(..)))
    }

    /// Releases the permit, then sends the last events. In this order, so that a caller who has received the last event can
    /// submit the next request.
    pub fn release(self) {
        drop(self.permit);
        // Dropping the sender wakes the receiver.
        drop(self.events.put(self.pending_events));
    }

    /// Whether the next token is that of the largest logit.
    pub fn takes_largest(&self) -> bool {
        self.constraint.is_none() && self.sampler.takes_largest()
    }

    /// Samples the next token of `sequence`, the prompt and the tokens generated so far. `largest` is the token of the largest
    /// logit, if it is known.
    ///
    /// # Errors
    /// When a logit is NaN or infinite, or the constraint fails.
    pub fn advance(
        &mut self,
        logits: &mut [f32],
        largest: Option<u32>,
        sequence: &[u32],
        cached_tokens: usize,
        limits: &Limits,
    ) -> Result<Progress, SamplingError> {
        let Sampled { token, logprob } = match largest {
            Some(token) if self.takes_largest() => Sampled {
                token,
                logprob: None,
            },
            _ => {
                let constraint = self.constraint.as_deref_mut();
                self.sampler
                    .sample_constrained(constraint, logits, sequence, &self.generated)?
            }
        };
        let now = Instant::now();
        self.record_token(now, cached_tokens);
        self.generated.push(token);

        if !self.ignore_eos && limits.eos_token_ids.contains(&token) {
            let held_back = self.flush();
            self.finish(
                FinishReason::Stop(StopCause::EndOfSequence(token)),
                held_back,
            );
            return Ok(Progress::Finished);
        }
        let terminated = match &mut self.constraint {
            Some(constraint) => constraint.accept(token)? == Acceptance::Terminated,
            None => false,
        };
        self.text.token_starts.push(self.text.generated_bytes);
        let text = self.detokenizer.push(token);
        let piece = self.advance_text(&text);
        let stopped = piece.stopped;
        self.pending_events.push(Ok(Event::Token(Token {
            id: token,
            text: piece.text,
            logprob,
            held_back: self.text.held_back(),
        })));
        if let Some(stop) = stopped {
            self.finish(
                FinishReason::Stop(StopCause::StopString(stop)),
                String::new(),
            );
            return Ok(Progress::Finished);
        }
        let reason = if terminated {
            FinishReason::Stop(StopCause::ConstraintComplete)
        } else if self.generated.len() >= self.max_tokens {
            FinishReason::Length(LengthCause::MaxTokens)
        } else if self.prompt_tokens + self.generated.len() >= limits.context_length {
            FinishReason::Length(LengthCause::ContextLength)
        } else {
            return Ok(Progress::Continue(token));
        };
        let held_back = self.flush();
        self.finish(reason, held_back);
        Ok(Progress::Finished)
    }

    /// The text that the detokenizer and the stop matcher still hold back. A stop string may complete here.
    fn flush(&mut self) -> String {
        let text = self.detokenizer.finish();
        let piece = self.advance_text(&text);
        let stopped = piece.stopped.is_some();
        let mut text = piece.text;
        if !stopped {
            text.push_str(&self.stop.finish());
        }
        text
    }

    /// Adds generated text. Returns the text before a stop string as far as it is certain.
    fn advance_text(&mut self, text: &str) -> Piece {
        let piece = self.stop.push(text);
        self.text.generated_bytes += text.len();
        self.text.sent_bytes += piece.text.len();
        self.text.stopped |= piece.stopped.is_some();
        piece
    }

    /// Records the time of a token. The first one starts the generation.
    fn record_token(&mut self, now: Instant, cached_tokens: usize) {
        self.last_token = Some(now);
        if self.first_token.is_some() {
            return;
        }
        self.first_token = Some(now);
        let step_started = self.step_started.unwrap_or(now);
        let started = Started {
            prompt_tokens: self.prompt_tokens,
            cached_tokens,
            queue_time: step_started.saturating_duration_since(self.submitted),
            time_to_first_token: now - self.submitted,
        };
        self.started = Some(started);
        self.pending_events.push(Ok(Event::Started(started)));
    }

    fn finish(&mut self, reason: FinishReason, text: String) {
        let first_token = self.first_token.unwrap_or(self.submitted);
        let metrics = RequestMetrics {
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.started.map_or(0, |started| started.cached_tokens),
            generated_tokens: self.generated.len(),
            queue_time: self
                .started
                .map_or_else(Duration::default, |started| started.queue_time),
            time_to_first_token: first_token - self.submitted,
            generation_time: self.last_token.unwrap_or(first_token) - first_token,
            peak_memory_bytes: peak_resident_bytes(),
        };
        self.pending_events.push(Ok(Event::Finished(Finished {
            reason,
            text,
            metrics,
            prompt_logprobs: std::mem::take(&mut self.scored),
            tokens_past_text: self.text.tokens_past_end(),
        })));
    }
}

//! An answer as it comes: tokens in, parts of a message out.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_core::Stream;
use futures_util::StreamExt as _;
use mlxm_chat::parsing::{Parser, Part};
use mlxm_engine::sampling::TokenLogprob;
use mlxm_engine::{Event, FinishReason, Finished, Generation, RequestMetrics};

use crate::error::ApiError;
use crate::metrics::RequestTimer;
use crate::state::InFlightGuard;

/// What became certain with one token.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Pieces of the message.
    pub parts: Vec<Part>,
    /// The token's id; absent in the last chunk.
    pub token: Option<u32>,
    /// Present when the request asked for it.
    pub logprob: Option<TokenLogprob>,
    /// Present in the last chunk.
    pub ending: Option<Ending>,
}

/// The end of an answer.
#[derive(Debug, Clone)]
pub struct Ending {
    pub reason: FinishReason,
    pub metrics: RequestMetrics,
    /// Of the prompt's tokens behind the first, where they are wanted.
    pub prompt_logprobs: Vec<TokenLogprob>,
}

/// One answer, a stream of chunks whose last one has an ending. Dropping it stops the generation.
pub struct Completion {
    generation: Generation,
    parser: Option<Parser>,
    calls_tools: bool,
    deadline: Pin<Box<tokio::time::Sleep>>,
    timeout_seconds: u64,
    timer: RequestTimer,
    ended: bool,
    /// A server that shuts down waits for this.
    _in_flight: InFlightGuard,
}

/// A complete answer.
#[derive(Debug, Default)]
pub struct CollectedCompletion {
    pub reasoning: String,
    pub content: String,
    /// Name and arguments of each call.
    pub calls: Vec<(String, String)>,
    pub logprobs: Vec<TokenLogprob>,
    pub tokens: Vec<u32>,
    pub ending: Option<Ending>,
}

impl Completion {
    /// Without a `parser` all text is content.
    pub fn new(
        generation: Generation,
        parser: Option<Parser>,
        deadline: Instant,
        timeout_seconds: u64,
        timer: RequestTimer,
        in_flight: InFlightGuard,
    ) -> Self {
        Self {
            generation,
            parser,
            calls_tools: false,
            deadline: Box::pin(tokio::time::sleep_until(deadline.into())),
            timeout_seconds,
            timer,
            ended: false,
            _in_flight: in_flight,
        }
    }

    /// Waits for the end.
    pub async fn collected(mut self) -> Result<CollectedCompletion, ApiError> {
        let mut whole = CollectedCompletion::default();
        while let Some(chunk) = self.next().await {
            whole.add(chunk?);
        }
        Ok(whole)
    }

    fn parts(&mut self, text: String) -> Vec<Part> {
        let parts = match &mut self.parser {
            Some(parser) => parser.push(&text),
            None if text.is_empty() => Vec::new(),
            None => vec![Part::Content(text)],
        };
        self.note(parts)
    }

    fn note(&mut self, parts: Vec<Part>) -> Vec<Part> {
        self.calls_tools |= parts
            .iter()
            .any(|part| matches!(part, Part::ToolCall { .. }));
        parts
    }

    fn chunk(&mut self, event: Event) -> Chunk {
        match event {
            Event::Token(token) => {
                self.timer.token();
                Chunk {
                    parts: self.parts(token.text),
                    token: Some(token.id),
                    logprob: token.logprob,
                    ending: None,
                }
            }
            Event::Finished(Finished {
                reason,
                text,
                metrics,
                prompt_logprobs,
            }) => {
                let mut parts = self.parts(text);
                if let Some(parser) = &mut self.parser {
                    let rest = parser.finish();
                    parts.extend(self.note(rest));
                }
                let reason = match reason {
                    FinishReason::Stop(_) if self.calls_tools => FinishReason::ToolCalls,
                    reason => reason,
                };
                self.timer.finished(&metrics, reason.as_str());
                Chunk {
                    parts,
                    ending: Some(Ending {
                        reason,
                        metrics,
                        prompt_logprobs,
                    }),
                    ..Chunk::default()
                }
            }
        }
    }
}

impl Stream for Completion {
    type Item = Result<Chunk, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.deadline.as_mut().poll(context).is_ready() {
            self.ended = true;
            return Poll::Ready(Some(Err(ApiError::timed_out(self.timeout_seconds))));
        }
        let event = ready!(self.generation.poll_next_unpin(context));
        Poll::Ready(event.map(|event| {
            let chunk = event.map(|event| self.chunk(event)).map_err(ApiError::from);
            self.ended = chunk.as_ref().map_or(true, |chunk| chunk.ending.is_some());
            chunk
        }))
    }
}

impl CollectedCompletion {
    fn add(&mut self, chunk: Chunk) {
        for part in chunk.parts {
            match part {
                Part::Reasoning(text) => self.reasoning.push_str(&text),
                Part::Content(text) => self.content.push_str(&text),
                Part::ToolCall { name, .. } => self.calls.push((name, String::new())),
                Part::Arguments { index, delta } => {
                    if let Some((_, arguments)) = self.calls.get_mut(index) {
                        arguments.push_str(&delta);
                    }
                }
            }
        }
        self.tokens.extend(chunk.token);
        self.logprobs.extend(chunk.logprob);
        if chunk.ending.is_some() {
            self.ending = chunk.ending;
        }
    }
}

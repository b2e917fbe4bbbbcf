//! A running completion: tokens parsed into reasoning, content and tool calls.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use mlxm_engine::sampling::TokenLogprob;
use mlxm_engine::{Event, FinishReason, Finished, Generation, GenerationError, RequestMetrics};

use crate::parsing::{Parser, Part};

/// What one token adds to a completion.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct ChatChunk {
    /// Pieces of the message.
    pub parts: Vec<Part>,
    /// The unparsed text. Empty while a UTF-8 character or a possible stop string is incomplete.
    pub text: String,
    /// The token's id; `None` in the last chunk.
    pub token: Option<u32>,
    /// Present if the request asked for log-probabilities.
    pub logprob: Option<TokenLogprob>,
    /// Present in the last chunk.
    pub finish: Option<Finish>,
}

/// The end of a completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// Counts and times.
    pub metrics: RequestMetrics,
    /// Of all prompt tokens after the first, if the request asked for them.
    pub prompt_logprobs: Vec<TokenLogprob>,
}

/// A tool call of a completion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// Name of the tool.
    pub name: String,
    /// Arguments as JSON; truncated if the completion was.
    pub arguments: String,
}

/// A collected completion.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct ChatCompletion {
    /// Text of the reasoning.
    pub reasoning: String,
    /// Text of the message.
    pub content: String,
    /// Tool calls in order.
    pub tool_calls: Vec<ToolCall>,
    /// Log-probabilities of the tokens, if the request asked for them.
    pub logprobs: Vec<TokenLogprob>,
    /// Token ids.
    pub tokens: Vec<u32>,
    /// The end; `None` while the completion is incomplete.
    pub finish: Option<Finish>,
}

/// A running completion: a blocking iterator and an async stream of [`ChatChunk`]s. The last chunk has a
/// [`Finish`]. Dropping the stream cancels the generation.
#[derive(Debug)]
pub struct ChatStream {
    generation: Generation,
    parser: Option<Parser>,
    calls_tools: bool,
}

/// The result of [`ChatStream::next_timeout`].
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "returned by value and matched at once"
)]
pub enum ChatPoll {
    /// The next chunk, or the error that ends the completion.
    Chunk(Result<ChatChunk, GenerationError>),
    /// No chunk within the timeout.
    Pending,
    /// The stream has ended.
    Finished,
}

impl ChatStream {
    /// Parses the text of `generation`; without a parser all text is content.
    pub fn new(generation: Generation, parser: Option<Parser>) -> Self {
        Self {
            generation,
            parser,
            calls_tools: false,
        }
    }

    /// Waits at most `timeout` for the next chunk, so that the caller can check for signals.
    pub fn next_timeout(&mut self, timeout: Duration) -> ChatPoll {
        match self.generation.next_timeout(timeout) {
            mlxm_engine::Poll::Event(event) => {
                ChatPoll::Chunk(event.map(|event| self.parse(event)))
            }
            mlxm_engine::Poll::Pending => ChatPoll::Pending,
            mlxm_engine::Poll::Finished => ChatPoll::Finished,
        }
    }

    /// Blocks until the completion has ended.
    ///
    /// # Errors
    /// If the generation fails.
    pub fn collect_completion(self) -> Result<ChatCompletion, GenerationError> {
        let mut completion = ChatCompletion::default();
        for chunk in self {
            completion.push(chunk?);
        }
        Ok(completion)
    }

    fn parse(&mut self, event: Event) -> ChatChunk {
        match event {
            Event::Started(_) => ChatChunk::default(),
            Event::Token(token) => ChatChunk {
                parts: self.parse_text(&token.text),
                text: token.text,
                token: Some(token.id),
                logprob: token.logprob,
                finish: None,
            },
            Event::Finished(Finished {
                reason,
                text,
                metrics,
                prompt_logprobs,
            }) => {
                let mut parts = self.parse_text(&text);
                if let Some(parser) = &mut self.parser {
                    let rest = parser.finish();
                    parts.extend(self.note_calls(rest));
                }
                let reason = match reason {
                    FinishReason::Stop(_) if self.calls_tools => FinishReason::ToolCalls,
                    reason => reason,
                };
                ChatChunk {
                    parts,
                    text,
                    finish: Some(Finish {
                        reason,
                        metrics,
                        prompt_logprobs,
                    }),
                    ..ChatChunk::default()
                }
            }
        }
    }

    fn parse_text(&mut self, text: &str) -> Vec<Part> {
        let parts = match &mut self.parser {
            Some(parser) => parser.push(text),
            None if text.is_empty() => Vec::new(),
            None => vec![Part::Content(text.to_owned())],
        };
        self.note_calls(parts)
    }

    fn note_calls(&mut self, parts: Vec<Part>) -> Vec<Part> {
        self.calls_tools |= parts
            .iter()
            .any(|part| matches!(part, Part::ToolCall { .. }));
        parts
    }
}

impl Iterator for ChatStream {
    type Item = Result<ChatChunk, GenerationError>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.generation.next()?;
        Some(event.map(|event| self.parse(event)))
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatChunk, GenerationError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(Pin::new(&mut self.generation).poll_next(context));
        Poll::Ready(event.map(|event| event.map(|event| self.parse(event))))
    }
}

impl ChatCompletion {
    /// Adds the next chunk.
    pub fn push(&mut self, chunk: ChatChunk) {
        for part in chunk.parts {
            match part {
                Part::Reasoning(text) => self.reasoning.push_str(&text),
                Part::Content(text) => self.content.push_str(&text),
                Part::ToolCall { name, .. } => self.tool_calls.push(ToolCall {
                    name,
                    arguments: String::new(),
                }),
                Part::Arguments { index, delta } => {
                    if let Some(call) = self.tool_calls.get_mut(index) {
                        call.arguments.push_str(&delta);
                    }
                }
            }
        }
        self.tokens.extend(chunk.token);
        self.logprobs.extend(chunk.logprob);
        if chunk.finish.is_some() {
            self.finish = chunk.finish;
        }
    }
}

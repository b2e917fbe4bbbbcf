//! A running completion: tokens parsed into reasoning, content and tool calls.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;
use mlxm_engine::sampling::TokenLogprob;
use mlxm_engine::{
    Event, FinishReason, Finished, Generation, GenerationError, PrefillProgress, RequestMetrics,
    Started, peak_resident_bytes,
};

use crate::output_limits::{OutputEnd, OutputLimits};
use crate::parsing::{Parser, Part};

/// What one token adds to a completion, or how far its prompt is computed.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct ChatChunk {
    /// Pieces of the message.
    pub parts: Vec<Part>,
    /// The unparsed text. Empty while a UTF-8 character is incomplete.
    pub text: String,
    /// The token's id; `None` in the last chunk and in those with `prefill`.
    pub token: Option<u32>,
    /// How far the prompt is computed, in chunks before the first token. Present if the request asked for it
    /// ([`GenerationParams::reports_prefill`](crate::GenerationParams::reports_prefill)).
    pub prefill: Option<PrefillProgress>,
    /// Present if the request asked for log-probabilities.
    pub logprob: Option<TokenLogprob>,
    /// Tokens at the end of whose text nothing was sent, because it may belong to a stop string.
    pub held_back: usize,
    /// Present in the last chunk.
    pub finish: Option<Finish>,
    /// Whether the model ended the completion without closing its reasoning. The parts of this chunk repeat the reasoning as
    /// content, which would be empty otherwise.
    pub repeats_reasoning: bool,
}

/// The end of a completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// Counts and times.
    pub metrics: RequestMetrics,
    /// Of all prompt tokens after the first, if the request asked for them and neither a stop string nor a limit of calls
    /// ended the completion.
    pub prompt_logprobs: Vec<TokenLogprob>,
    /// Tokens at the end that are not part of the text, because a stop string ended the text before them.
    pub tokens_past_text: usize,
}

impl Finish {
    /// Removes the tokens that are not part of the text from a list that ends with the last token.
    pub fn drop_tokens_past_text<T>(&self, tokens: &mut Vec<T>) {
        tokens.truncate(tokens.len().saturating_sub(self.tokens_past_text));
    }
}

/// A tool call of a completion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// Name of the tool.
    pub name: String,
    /// Arguments: a JSON object.
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
    /// Log-probabilities of the tokens of the text, if the request asked for them.
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
    /// `None` after a limit of the output ended the completion.
    generation: Option<Generation>,
    parser: Option<Parser>,
    limits: OutputLimits,
    /// The reasoning so far.
    reasoning: String,
    started: Option<Started>,
    /// Bytes of the text of each token.
    token_bytes: Vec<usize>,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    /// The last chunk, if it is known before it is asked for.
    last: Option<ChatChunk>,
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
        Self::limited(generation, parser, OutputLimits::default())
    }

    /// As [`new`](Self::new), and ends the completion at `limits`.
    pub(crate) fn limited(
        generation: Generation,
        parser: Option<Parser>,
        limits: OutputLimits,
    ) -> Self {
        Self {
            generation: Some(generation),
            parser,
            limits,
            reasoning: String::new(),
            started: None,
            token_bytes: Vec::new(),
            first_token: None,
            last_token: None,
            last: None,
        }
    }

    /// Counts and times of the prompt, known from the first token on.
    pub fn started(&self) -> Option<Started> {
        self.started
    }

    /// Waits at most `timeout` for the next chunk, so that the caller can check for signals.
    pub fn next_timeout(&mut self, timeout: Duration) -> ChatPoll {
        loop {
            if let Some(last) = self.last.take() {
                return ChatPoll::Chunk(Ok(last));
            }
            let Some(generation) = &mut self.generation else {
                return ChatPoll::Finished;
            };
            match generation.next_timeout(timeout) {
                mlxm_engine::Poll::Event(Ok(event)) => {
                    if let Some(chunk) = self.receive(event) {
                        return ChatPoll::Chunk(Ok(chunk));
                    }
                }
                mlxm_engine::Poll::Event(Err(error)) => return ChatPoll::Chunk(Err(error)),
                mlxm_engine::Poll::Pending => return ChatPoll::Pending,
                mlxm_engine::Poll::Finished => return ChatPoll::Finished,
            }
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

    /// The chunk of an event; the start has none.
    fn receive(&mut self, event: Event) -> Option<ChatChunk> {
        match event {
            Event::Prefill(progress) => Some(ChatChunk {
                prefill: Some(progress),
                ..ChatChunk::default()
            }),
            Event::Started(started) => {
                self.started = Some(started);
                None
            }
            Event::Token(token) => {
                let now = Instant::now();
                self.token_bytes.push(token.text.len());
                self.first_token.get_or_insert(now);
                self.last_token = Some(now);
                let (parts, end) = self.parse(&token.text);
                if let Some(end) = end {
                    self.end(end);
                }
                Some(ChatChunk {
                    parts,
                    text: token.text,
                    token: Some(token.id),
                    logprob: token.logprob,
                    held_back: self.held_back().max(token.held_back),
                    ..ChatChunk::default()
                })
            }
            Event::Finished(finished) => Some(self.finish(finished)),
        }
    }

    fn parse(&mut self, text: &str) -> (Vec<Part>, Option<OutputEnd>) {
        let parts = match &mut self.parser {
            Some(parser) => parser.push(text),
            None if text.is_empty() => Vec::new(),
            None => vec![Part::Content(text.to_owned())],
        };
        self.limit(parts)
    }

    /// Applies the limits of the output, and notes the reasoning.
    fn limit(&mut self, parts: Vec<Part>) -> (Vec<Part>, Option<OutputEnd>) {
        for part in &parts {
            if let Part::Reasoning(text) = part {
                self.reasoning.push_str(text);
            }
        }
        self.limits.apply(parts)
    }

    /// Ends the completion at a limit of the output: stops the generation and prepares the last chunk.
    fn end(&mut self, end: OutputEnd) {
        self.generation = None;
        let started = self.started.unwrap_or_default();
        let generation_time = match (self.first_token, self.last_token) {
            (Some(first), Some(last)) => last - first,
            _ => Duration::default(),
        };
        let metrics = RequestMetrics {
            prompt_tokens: started.prompt_tokens,
            cached_tokens: started.cached_tokens,
            generated_tokens: self.token_bytes.len(),
            queue_time: started.queue_time,
            time_to_first_token: started.time_to_first_token,
            generation_time,
            peak_memory_bytes: peak_resident_bytes(),
        };
        self.last = Some(ChatChunk {
            finish: Some(Finish {
                tokens_past_text: self.tokens_past_text(&end),
                reason: self.reason(end.into()),
                metrics,
                prompt_logprobs: Vec::new(),
            }),
            ..ChatChunk::default()
        });
    }

    /// The last chunk.
    fn finish(&mut self, finished: Finished) -> ChatChunk {
        let Finished {
            reason,
            text,
            metrics,
            prompt_logprobs,
            tokens_past_text,
        } = finished;
        let (mut parts, mut end) = self.parse(&text);
        let mut repeats_reasoning = false;
        if end.is_none()
            && let Some(parser) = &mut self.parser
        {
            repeats_reasoning = matches!(reason, FinishReason::Stop(_)) && parser.is_reasoning();
            let rest = if matches!(reason, FinishReason::Length(_)) {
                parser.finish_truncated()
            } else {
                parser.finish()
            };
            let (rest, ended) = self.limit(rest);
            parts.extend(rest);
            end = ended;
        }
        if end.is_none() {
            parts.extend(self.limits.finish());
        }
        repeats_reasoning &= !self.limits.has_calls();
        if repeats_reasoning {
            parts.push(Part::Content(std::mem::take(&mut self.reasoning)));
        }
        let tokens_past_text = match &end {
            Some(end) => self.tokens_past_text(end),
            None => tokens_past_text,
        };
        let reason = self.reason(end.map_or(reason, FinishReason::from));
        ChatChunk {
            parts,
            text,
            finish: Some(Finish {
                reason,
                metrics,
                prompt_logprobs,
                tokens_past_text,
            }),
            repeats_reasoning,
            ..ChatChunk::default()
        }
    }

    /// Tokens at the end whose text is after the end of the content.
    fn tokens_past_text(&self, end: &OutputEnd) -> usize {
        match end {
            OutputEnd::StopString(_) => self.held_back(),
            OutputEnd::CallLimit => 0,
        }
    }

    /// Tokens at the end whose text is pending or held back.
    fn held_back(&self) -> usize {
        let pending = self.parser.as_ref().map_or(0, Parser::pending_bytes);
        let dropped = self.limits.dropped_bytes() + pending;
        let mut past = 0;
        let bytes = self.token_bytes.iter().rev();
        bytes
            .take_while(|bytes| {
                past += **bytes;
                past <= dropped
            })
            .count()
    }

    /// A completion that stops with calls has called tools.
    fn reason(&self, reason: FinishReason) -> FinishReason {
        match reason {
            FinishReason::Stop(_) if self.limits.has_calls() => FinishReason::ToolCalls,
            reason => reason,
        }
    }
}

impl Iterator for ChatStream {
    type Item = Result<ChatChunk, GenerationError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(last) = self.last.take() {
                return Some(Ok(last));
            }
            match self.generation.as_mut()?.next()? {
                Ok(event) => {
                    if let Some(chunk) = self.receive(event) {
                        return Some(Ok(chunk));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatChunk, GenerationError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(last) = self.last.take() {
                return Poll::Ready(Some(Ok(last)));
            }
            let Some(generation) = &mut self.generation else {
                return Poll::Ready(None);
            };
            match ready!(Pin::new(generation).poll_next(context)) {
                Some(Ok(event)) => {
                    if let Some(chunk) = self.receive(event) {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
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
        if chunk.repeats_reasoning {
            self.reasoning.clear();
        }
        self.tokens.extend(chunk.token);
        self.logprobs.extend(chunk.logprob);
        if let Some(finish) = chunk.finish {
            finish.drop_tokens_past_text(&mut self.logprobs);
            self.finish = Some(finish);
        }
    }
}

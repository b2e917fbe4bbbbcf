//! Generates completions on a server.

use std::time::{Duration, Instant};

use mlxm_chat::parsing::{Format, Parser, ReasoningFormat};
use mlxm_engine::FinishReason;
use serde_json::{Map, Value, json};

use super::chunk::{Choice, Chunk, Usage};
use super::client::{Client, Stream, StreamItem, StreamPoll};
use super::error::RemoteError;
use crate::context::Context;
use crate::generate::{
    Backend, BackendError, Collector, Completion, CompletionSink, Finish, Limits, RequestMetrics,
    TokenCounts,
};
use crate::interrupt::InterruptGuard;
use crate::prompt;

/// How long to wait for the next event before checking for Ctrl-C again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The API that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Chat completions: the server applies the chat template.
    Chat,
    /// Text completions: the message contents are the prompt.
    Completion,
}

/// A model on a server and its request parameters.
pub struct Remote<'a> {
    context: &'a Context,
    client: &'a Client,
    model: String,
    endpoint: Endpoint,
    parameters: Map<String, Value>,
}

impl<'a> Remote<'a> {
    /// `parameters` are additional fields of the request body.
    pub fn new(
        context: &'a Context,
        client: &'a Client,
        model: String,
        endpoint: Endpoint,
        parameters: Map<String, Value>,
    ) -> Self {
        Self {
            context,
            client,
            model,
            endpoint,
            parameters,
        }
    }

    fn body(&self, messages: &[Value]) -> Value {
        let mut body = json!({"model": self.model});
        match self.endpoint {
            Endpoint::Chat => body["messages"] = messages.into(),
            Endpoint::Completion => body["prompt"] = prompt::concatenate_contents(messages).into(),
        }
        body["stream"] = true.into();
        body["stream_options"] = json!({"include_usage": true});
        for (name, value) in &self.parameters {
            body[name] = value.clone();
        }
        body
    }
}

impl Backend for Remote<'_> {
    fn name(&self) -> String {
        self.model.clone()
    }

    fn limits(&self) -> Limits {
        let limit = self.parameters.get("max_tokens").and_then(Value::as_u64);
        Limits {
            context_length: None,
            max_tokens: limit.map(|limit| limit as usize),
        }
    }

    fn generate(
        &self,
        messages: &[Value],
        sink: &mut dyn CompletionSink,
    ) -> Result<Completion, BackendError> {
        let guard = InterruptGuard::start();
        let stream = self
            .client
            .stream(self.endpoint.route(), &self.body(messages));
        // The model's format is unknown here, so any reasoning tags are recognized.
        let format = Format {
            reasoning: Some(ReasoningFormat::AnyTags),
            ..Format::default()
        };
        let mut collector = Collector::new(Parser::new(format, "", &[]), sink);
        let mut progress = Progress::default();
        loop {
            if guard.requested() {
                drop(stream);
                collector.end()?;
                return Ok(collector.into_completion(Finish::Engine(FinishReason::Cancelled), None));
            }
            match self.receive(&stream, progress.finish_reason.is_some()) {
                Ok(Received::Nothing) => {}
                Ok(Received::Chunk(chunk, at)) => {
                    progress.usage = chunk.usage.or(progress.usage);
                    for choice in &chunk.choices {
                        progress.record(choice, at.duration_since(stream.sent()));
                        for token in choice.logprobs() {
                            collector.sink.on_logprob(&token)?;
                        }
                        if !choice.reasoning().is_empty() {
                            collector.push_reasoning(choice.reasoning())?;
                        }
                        if !choice.content().is_empty() {
                            collector.push(choice.content())?;
                        }
                    }
                }
                Ok(Received::End) => {
                    collector.end()?;
                    let finish = progress.finish_reason.take();
                    let finish = Finish::Server(finish.unwrap_or_else(|| "stop".to_owned()));
                    let metrics = progress.metrics(stream.sent().elapsed());
                    return Ok(collector.into_completion(finish, Some(metrics)));
                }
                Err(error) => {
                    collector.end()?;
                    return Err(BackendError::Rejected(error.into()));
                }
            }
        }
    }
}

/// Result of a wait.
enum Received {
    Nothing,
    Chunk(Chunk, Instant),
    End,
}

impl Remote<'_> {
    /// Waits for the next chunk. `has_finished`: a finish reason has been received.
    fn receive(&self, stream: &Stream, has_finished: bool) -> Result<Received, RemoteError> {
        Ok(match stream.next_timeout(POLL_INTERVAL)? {
            StreamPoll::Pending => Received::Nothing,
            StreamPoll::Item(StreamItem::Warning(warning)) => {
                self.context.warn_from_server(&warning);
                Received::Nothing
            }
            StreamPoll::Item(StreamItem::Event(data, at)) => {
                match Chunk::parse(&data, &self.client.url())? {
                    Some(chunk) => Received::Chunk(chunk, at),
                    None => Received::End,
                }
            }
            StreamPoll::Closed if has_finished => Received::End,
            StreamPoll::Closed => {
                let reason = "the connection closed before the end of the stream";
                return Err(RemoteError::Truncated(reason.to_owned()));
            }
        })
    }
}

impl Endpoint {
    /// Path relative to the base URL.
    pub fn route(self) -> &'static str {
        match self {
            Self::Chat => "v1/chat/completions",
            Self::Completion => "v1/completions",
        }
    }
}

/// Times, usage and finish reason of a stream.
#[derive(Debug, Default)]
struct Progress {
    first: Option<Duration>,
    last: Option<Duration>,
    usage: Option<Usage>,
    finish_reason: Option<String>,
}

impl Progress {
    fn record(&mut self, choice: &Choice, at: Duration) {
        if !choice.content().is_empty() || !choice.reasoning().is_empty() {
            self.first.get_or_insert(at);
            self.last = Some(at);
        }
        if let Some(reason) = &choice.finish_reason {
            self.finish_reason = Some(reason.clone());
        }
    }

    fn metrics(&self, elapsed: Duration) -> RequestMetrics {
        let first = self.first.unwrap_or(elapsed);
        let last = self.last.unwrap_or(elapsed);
        let counts = self
            .usage
            .map_or_else(TokenCounts::default, |usage| TokenCounts {
                prompt: usage.prompt_tokens,
                cached: usage.cached_tokens(),
                generated: usage.completion_tokens,
            });
        RequestMetrics::from_timings(first, last.saturating_sub(first), counts)
    }
}

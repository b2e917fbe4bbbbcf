//! A conversation with a server.

use std::time::{Duration, Instant};

use mlxm_chat::parsing::{Format, Parser, ReasoningFormat};
use mlxm_engine::FinishReason;
use serde_json::{Map, Value, json};

use super::chunk::{Choice, Chunk, Usage};
use super::client::{Client, Next, Stream, StreamItem};
use super::error::RemoteError;
use crate::context::Context;
use crate::generate::{
    Answer, Backend, BackendError, Collector, Counts, Finish, Limits, Sink, Statistics,
};
use crate::interrupt::InterruptGuard;
use crate::prompt;

/// How long a wait for the next piece lasts before Ctrl-C is looked at again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What of a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The server makes the prompt of messages.
    Chat,
    /// The text of the messages is the prompt.
    Completion,
}

/// A model of a server and how it is asked.
pub struct Remote<'a> {
    context: &'a Context,
    client: &'a Client,
    model: String,
    endpoint: Endpoint,
    parameters: Map<String, Value>,
}

impl<'a> Remote<'a> {
    /// The model `model`, asked with these parameters of the protocol.
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
            Endpoint::Completion => body["prompt"] = prompt::joined(messages).into(),
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

    fn answer(&self, messages: &[Value], sink: &mut dyn Sink) -> Result<Answer, BackendError> {
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
                return Ok(collector.answer(Finish::Engine(FinishReason::Cancelled), None));
            }
            match self.receive(&stream, progress.finish_reason.is_some()) {
                Ok(Received::Nothing) => {}
                Ok(Received::Chunk(chunk, at)) => {
                    progress.usage = chunk.usage.or(progress.usage);
                    for choice in &chunk.choices {
                        progress.note(choice, at.duration_since(stream.sent()));
                        for token in choice.scored() {
                            collector.sink.scored(&token)?;
                        }
                        if !choice.thinking().is_empty() {
                            collector.push_thinking(choice.thinking())?;
                        }
                        if !choice.text().is_empty() {
                            collector.push(choice.text())?;
                        }
                    }
                }
                Ok(Received::End) => {
                    collector.end()?;
                    let finish = progress.finish_reason.take();
                    let finish = Finish::Server(finish.unwrap_or_else(|| "stop".to_owned()));
                    let statistics = progress.statistics(stream.sent().elapsed());
                    return Ok(collector.answer(finish, Some(statistics)));
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
    /// Receives the next part. `is_ended`: a finish reason has been received.
    fn receive(&self, stream: &Stream, is_ended: bool) -> Result<Received, RemoteError> {
        Ok(match stream.next_timeout(POLL_INTERVAL)? {
            Next::Pending => Received::Nothing,
            Next::Item(StreamItem::Warning(warning)) => {
                self.context.warn_from_server(&warning);
                Received::Nothing
            }
            Next::Item(StreamItem::Event(data, at)) => {
                match Chunk::parse(&data, &self.client.url())? {
                    Some(chunk) => Received::Chunk(chunk, at),
                    None => Received::End,
                }
            }
            Next::Ended if is_ended => Received::End,
            Next::Ended => {
                let reason = "the connection closed before the end of the stream";
                return Err(RemoteError::Cut(reason.to_owned()));
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
    fn note(&mut self, choice: &Choice, at: Duration) {
        if !choice.text().is_empty() || !choice.thinking().is_empty() {
            self.first.get_or_insert(at);
            self.last = Some(at);
        }
        if let Some(reason) = &choice.finish_reason {
            self.finish_reason = Some(reason.clone());
        }
    }

    fn statistics(&self, elapsed: Duration) -> Statistics {
        let first = self.first.unwrap_or(elapsed);
        let last = self.last.unwrap_or(elapsed);
        let counts = self.usage.map_or_else(Counts::default, |usage| Counts {
            prompt: usage.prompt_tokens,
            cached: usage.cached_tokens(),
            generated: usage.completion_tokens,
        });
        Statistics::measured(first, last.saturating_sub(first), counts)
    }
}

//! Chat completions as a stream of chunks.

use std::collections::VecDeque;

use axum::response::Response;
use futures_core::Stream;
use futures_util::{StreamExt as _, stream};
use mlxm_chat::parsing::Part;
use mlxm_engine::PrefillProgress;
use serde_json::{Value, json};

use super::calls::CallStyle;
use super::logprobs;
use super::shared::{Usage, timings};
use crate::error::Protocol;
use crate::generate::{ChatChunk, Completion, merge};
use crate::sse::{self, Message};
use crate::state::AppState;
use crate::stream_errors;

/// `system_fingerprint` of all responses.
pub const FINGERPRINT: &str = concat!("mlxm-", env!("CARGO_PKG_VERSION"));

/// What a response and its chunks have in common.
pub struct ChunkTemplate {
    pub server: AppState,
    pub id: String,
    pub model: String,
    pub created: u64,
    pub includes_usage: bool,
    pub timings: bool,
    pub logprobs: bool,
    pub calls: CallStyle,
}

/// The state of a stream.
struct State<S> {
    template: ChunkTemplate,
    chunks: S,
    ready: VecDeque<Message>,
    /// For each completion: log-probabilities that are not part of a chunk yet.
    logprobs: Vec<Vec<Value>>,
    /// For each completion: index and arguments of a call of a custom tool that is not complete yet.
    custom_calls: Vec<Option<(usize, String)>>,
    usage: Usage,
    ended: bool,
}

/// Streams `completions`.
pub fn chat(template: ChunkTemplate, completions: Vec<Completion>) -> Response {
    let limits = template.server.options().limits.clone();
    let count = completions.len();
    let first = (0..count).map(|index| {
        let delta = json!({"role": "assistant", "content": ""});
        Message::Data(template.chunk(index, delta, None))
    });
    let state = State {
        ready: first.collect(),
        template,
        chunks: merge(completions),
        logprobs: vec![Vec::new(); count],
        custom_calls: vec![None; count],
        usage: Usage::default(),
        ended: false,
    };
    let messages = stream::unfold(state, async |mut state| {
        state.next().await.map(|message| (message, state))
    });
    sse::response(&limits, messages)
}

impl ChunkTemplate {
    fn chunk(&self, index: usize, delta: Value, finish_reason: Option<&str>) -> Value {
        let choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        self.envelope(json!([choice]))
    }

    fn envelope(&self, choices: Value) -> Value {
        let mut envelope = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
        });
        if self.includes_usage {
            envelope["usage"] = Value::Null;
        }
        envelope
    }
}

impl<S: Stream<Item = (usize, Result<ChatChunk, crate::error::ApiError>)> + Unpin> State<S> {
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            if self.ended {
                return None;
            }
            match self.chunks.next().await {
                Some((index, Ok(chunk))) => self.take(index, chunk),
                Some((_, Err(error))) => {
                    let body = error.body_in(Protocol::OpenAi);
                    self.ready.extend(stream_errors::completions(body));
                    self.ended = true;
                }
                None => {
                    if self.template.includes_usage {
                        let mut envelope = self.template.envelope(json!([]));
                        envelope["usage"] = json!(self.usage);
                        self.ready.push_back(Message::Data(envelope));
                    }
                    self.end();
                }
            }
        }
    }

    fn end(&mut self) {
        self.ready.push_back(Message::Done);
        self.ended = true;
    }

    fn take(&mut self, index: usize, chunk: ChatChunk) {
        if let Some(progress) = &chunk.prefill {
            let mut chunk = self.template.chunk(index, json!({}), None);
            chunk["prompt_progress"] = prompt_progress(progress);
            self.ready.push_back(Message::Data(chunk));
        }
        if let (Some(logprob), Some(model)) = (&chunk.logprob, self.template.server.loaded()) {
            self.logprobs[index].push(logprobs::chat_logprob(model, logprob));
        }
        if let Some(finish) = &chunk.finish {
            finish.drop_tokens_past_text(&mut self.logprobs[index]);
        }
        let certain = self.logprobs[index].len().saturating_sub(chunk.held_back);
        let held_back = self.logprobs[index].split_off(certain);
        for part in chunk.parts {
            self.part(index, part);
        }
        self.logprobs[index].extend(held_back);
        if let Some(finish) = chunk.finish {
            self.end_custom_call(index);
            self.usage.add_completion(&finish.metrics);
            let reason = self.template.calls.finish_reason(&finish);
            let mut last = self.with_logprobs(index, json!({}), Some(reason));
            if self.template.timings {
                last["choices"][0]["timings"] = timings(&finish.metrics);
            }
            self.ready.push_back(Message::Data(last));
        }
    }

    fn part(&mut self, index: usize, part: Part) {
        if !matches!(part, Part::Arguments { .. }) {
            self.end_custom_call(index);
        }
        let calls = &self.template.calls;
        let delta = match part {
            Part::Content(text) => json!({"content": text}),
            Part::Reasoning(text) => json!({"reasoning_content": text}),
            Part::ToolCall { index: call, name } => {
                if calls.is_custom(&name) {
                    self.custom_calls[index] = Some((call, String::new()));
                }
                calls.start(call, &name)
            }
            Part::Arguments { index: call, delta } => match &mut self.custom_calls[index] {
                Some((_, arguments)) => {
                    arguments.push_str(&delta);
                    return;
                }
                None => calls.arguments(call, &delta),
            },
        };
        self.push(index, delta, None);
    }

    /// Sends the input of a call of a custom tool, if there is one.
    fn end_custom_call(&mut self, index: usize) {
        if let Some((call, arguments)) = self.custom_calls[index].take() {
            self.push(index, CallStyle::custom_input(call, &arguments), None);
        }
    }

    fn push(&mut self, index: usize, delta: Value, finish_reason: Option<&str>) {
        let chunk = self.with_logprobs(index, delta, finish_reason);
        self.ready.push_back(Message::Data(chunk));
    }

    fn with_logprobs(&mut self, index: usize, delta: Value, finish_reason: Option<&str>) -> Value {
        let mut chunk = self.template.chunk(index, delta, finish_reason);
        let entries = std::mem::take(&mut self.logprobs[index]);
        if !entries.is_empty() {
            chunk["choices"][0]["logprobs"] = json!({"content": entries, "refusal": null});
        }
        chunk
    }
}

/// The progress of a prompt, as llama.cpp sends it. `processed` includes the tokens from the prefix cache.
fn prompt_progress(progress: &PrefillProgress) -> Value {
    json!({
        "total": progress.prompt_tokens,
        "cache": progress.cached_tokens,
        "processed": progress.computed_tokens,
        "time_ms": progress.time.as_millis() as u64,
    })
}

//! A message as a stream of events, in the order of Anthropic's API.

use std::collections::VecDeque;

use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use mlxm_chat::parsing::Part;
use mlxm_engine::Started;
use serde_json::{Value, json};
use uuid::Uuid;

use super::messages::{stop_reason, token_usage, usage};
use crate::error::Protocol;
use crate::generate::{ChatChunk, Completion};
use crate::sse::{self, Message};
use crate::state::AppState;
use crate::stream_errors;

/// A new id of a tool call.
pub fn new_call_id() -> String {
    format!("toolu_{}", Uuid::new_v4().simple())
}

/// The kind of a content block. A block ends when a part of another kind follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Thinking,
    Text,
    Call(usize),
}

/// The state of a stream.
struct State {
    /// The message without content, until it is sent.
    start: Option<Value>,
    completions: VecDeque<Completion>,
    ready: VecDeque<Message>,
    open: Option<Kind>,
    blocks: usize,
    ended: bool,
}

/// Streams the first of `completions`. `start` is the message without content; its usage is that of the end, except for the
/// output tokens, so it is sent when the prompt is computed.
pub fn response(server: &AppState, start: Value, completions: Vec<Completion>) -> Response {
    let state = State {
        start: Some(start),
        completions: completions.into(),
        ready: VecDeque::new(),
        open: None,
        blocks: 0,
        ended: false,
    };
    let messages = stream::unfold(state, async |mut state| {
        state.next().await.map(|message| (message, state))
    });
    sse::response(&server.options().limits, messages)
}

impl State {
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let completion = self.completions.front_mut().filter(|_| !self.ended)?;
            match completion.next().await {
                Some(Ok(chunk)) => {
                    let started = completion.started().unwrap_or_default();
                    self.start(started);
                    self.take(chunk);
                }
                Some(Err(error)) => {
                    let body = error.body_in(Protocol::Anthropic);
                    self.ready.push_back(stream_errors::messages(body));
                    self.ended = true;
                }
                None => self.ended = true,
            }
        }
    }

    /// Starts the message with the first chunk.
    fn start(&mut self, started: Started) {
        let Some(mut message) = self.start.take() else {
            return;
        };
        message["usage"] = token_usage(started.prompt_tokens, started.cached_tokens, 0);
        self.send(
            "message_start",
            json!({"type": "message_start", "message": message}),
        );
    }

    fn send(&mut self, name: &'static str, value: Value) {
        self.ready.push_back(Message::Named(name, value));
    }

    fn take(&mut self, chunk: ChatChunk) {
        for part in chunk.parts {
            match part {
                Part::Reasoning(text) => {
                    self.open(
                        Kind::Thinking,
                        || json!({"type": "thinking", "thinking": "", "signature": ""}),
                    );
                    self.delta(json!({"type": "thinking_delta", "thinking": text}));
                }
                Part::Content(text) => {
                    self.open(Kind::Text, || json!({"type": "text", "text": ""}));
                    self.delta(json!({"type": "text_delta", "text": text}));
                }
                Part::ToolCall { index, name } => {
                    let block = || json!({"type": "tool_use", "id": new_call_id(), "name": name, "input": {}});
                    self.open(Kind::Call(index), block);
                }
                Part::Arguments { delta, .. } => {
                    self.delta(json!({"type": "input_json_delta", "partial_json": delta}));
                }
            }
        }
        if let Some(finish) = chunk.finish {
            self.close();
            let delta = json!({"stop_reason": stop_reason(&finish), "stop_sequence": finish.reason.stop_string()});
            self.send(
                "message_delta",
                json!({"type": "message_delta", "delta": delta, "usage": usage(&finish)}),
            );
            self.send("message_stop", json!({"type": "message_stop"}));
        }
    }

    fn open(&mut self, kind: Kind, block: impl FnOnce() -> Value) {
        if self.open == Some(kind) {
            return;
        }
        self.close();
        self.open = Some(kind);
        let start =
            json!({"type": "content_block_start", "index": self.blocks, "content_block": block()});
        self.send("content_block_start", start);
    }

    fn close(&mut self) {
        let Some(kind) = self.open.take() else { return };
        if kind == Kind::Thinking {
            // Clients send the signature back with the thinking block.
            self.open = Some(kind);
            self.delta(json!({"type": "signature_delta", "signature": ""}));
            self.open = None;
        }
        self.send(
            "content_block_stop",
            json!({"type": "content_block_stop", "index": self.blocks}),
        );
        self.blocks += 1;
    }

    fn delta(&mut self, delta: Value) {
        if self.open.is_some() {
            let event =
                json!({"type": "content_block_delta", "index": self.blocks, "delta": delta});
            self.send("content_block_delta", event);
        }
    }
}

//! Converts a completion to output items and stream events.

use mlxm_chat::parsing::Part;
use mlxm_engine::FinishReason;
use mlxm_engine::sampling::TokenLogprob;
use serde_json::{Value, json};

use super::client_tools::{ToolKind, ToolKinds};
use crate::generate::{ChatChunk, Finish};
use crate::openai::custom_tools;
use crate::openai::shared::new_id;

/// Name and data of an event. Streams add `type` and `sequence_number` to the data.
pub type Event = (&'static str, Value);

/// The output so far.
#[derive(Debug, Default)]
pub struct Output {
    items: Vec<Value>,
    open: Option<Open>,
    /// Tokens whose text is not part of an item yet.
    pending_tokens: usize,
    pending_logprobs: Vec<Value>,
    reasoning_tokens: usize,
    events: Vec<Event>,
    tool_kinds: ToolKinds,
}

/// How a completion finished.
pub struct OutputSummary {
    pub finish: Finish,
    reasoning_tokens: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reasoning,
    Message,
    /// The call with this index.
    Call(usize),
}

/// The item that is being generated.
#[derive(Debug)]
struct Open {
    kind: Kind,
    id: String,
    /// Text or arguments.
    text: String,
    logprobs: Vec<Value>,
    /// Of a call.
    call: Option<Call>,
}

#[derive(Debug)]
struct Call {
    id: String,
    /// Name of the function.
    name: String,
    kind: ToolKind,
}

impl Output {
    /// An empty output with calls of these tools.
    pub fn new(tool_kinds: ToolKinds) -> Self {
        Self {
            tool_kinds,
            ..Self::default()
        }
    }

    /// Adds a chunk. `format_logprob` converts its log-probability. Returns the summary after the last chunk.
    pub fn push(
        &mut self,
        chunk: ChatChunk,
        format_logprob: impl FnOnce(&TokenLogprob) -> Option<Value>,
    ) -> Option<OutputSummary> {
        self.pending_tokens += usize::from(chunk.token.is_some());
        self.pending_logprobs
            .extend(chunk.logprob.as_ref().and_then(format_logprob));
        for part in chunk.parts {
            self.part(part);
        }
        let finish = chunk.finish?;
        if self.items.is_empty() && self.open.is_none() {
            // An empty completion is an empty message.
            self.open(Kind::Message, String::new());
        }
        let kind = self.open.as_ref().map(|open| open.kind);
        self.take_pending(kind);
        self.close(if matches!(finish.reason, FinishReason::Length(_)) {
            "incomplete"
        } else {
            "completed"
        });
        Some(OutputSummary {
            finish,
            reasoning_tokens: self.reasoning_tokens,
        })
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The items; the one that is being generated is incomplete.
    pub fn items(&self) -> Vec<Value> {
        let open = self.open.as_ref().map(|open| open.item("incomplete"));
        self.items.iter().cloned().chain(open).collect()
    }

    fn part(&mut self, part: Part) {
        match part {
            Part::Reasoning(text) => {
                self.open(Kind::Reasoning, String::new());
                self.append_delta("response.reasoning_text.delta", &text);
            }
            Part::Content(text) => {
                self.open(Kind::Message, String::new());
                self.append_delta("response.output_text.delta", &text);
            }
            Part::ToolCall { index, name } => self.open(Kind::Call(index), name),
            Part::Arguments { index, delta } => {
                let open = self.open.as_ref().map(|open| open.kind);
                if open == Some(Kind::Call(index)) {
                    self.append_delta("response.function_call_arguments.delta", &delta);
                }
            }
        }
    }

    /// Counts the pending tokens for an item of this kind and returns their log-probabilities.
    fn take_pending(&mut self, kind: Option<Kind>) -> Vec<Value> {
        let tokens = std::mem::take(&mut self.pending_tokens);
        if kind == Some(Kind::Reasoning) {
            self.reasoning_tokens += tokens;
        }
        std::mem::take(&mut self.pending_logprobs)
    }

    /// Starts an item of this kind, unless it is the current one.
    fn open(&mut self, kind: Kind, name: String) {
        if self.open.as_ref().is_some_and(|open| open.kind == kind) {
            return;
        }
        self.close("completed");
        let (prefix, call) = match kind {
            Kind::Reasoning => ("rs_", None),
            Kind::Message => ("msg_", None),
            Kind::Call(_) => {
                let kind = self.tool_kinds.get(&name);
                let prefix = if kind == ToolKind::Custom {
                    "ctc_"
                } else {
                    "fc_"
                };
                let id = new_id("call_");
                (prefix, Some(Call { id, name, kind }))
            }
        };
        let open = Open {
            kind,
            id: new_id(prefix),
            text: String::new(),
            logprobs: Vec::new(),
            call,
        };
        let mut item = open.item("in_progress");
        if open.part().is_some() {
            // Its part is announced by a separate event.
            item["content"] = json!([]);
        }
        self.emit(
            "response.output_item.added",
            json!({"output_index": self.items.len(), "item": item}),
        );
        if let Some(part) = open.part() {
            self.emit_for_item(&open, "response.content_part.added", "part", part);
        }
        self.open = Some(open);
    }

    fn append_delta(&mut self, event: &'static str, text: &str) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        let logprobs = self.take_pending(Some(open.kind));
        open.text.push_str(text);
        // The input of other tools is within the arguments, which can be read when they are complete.
        if open.call.as_ref().is_none_or(Call::is_function) {
            self.emit_for_item(&open, event, "delta", text.into());
        }
        if open.kind == Kind::Message {
            if let Some((_, data)) = self.events.last_mut() {
                data["logprobs"] = logprobs.as_slice().into();
            }
            open.logprobs.extend(logprobs);
        }
        self.open = Some(open);
    }

    fn close(&mut self, status: &str) {
        let Some(open) = self.open.take() else {
            return;
        };
        let text = Value::from(open.text.as_str());
        match open.kind {
            Kind::Reasoning => {
                self.emit_for_item(&open, "response.reasoning_text.done", "text", text);
            }
            Kind::Message => {
                self.emit_for_item(&open, "response.output_text.done", "text", text);
                if let Some((_, data)) = self.events.last_mut() {
                    data["logprobs"] = open.logprobs.as_slice().into();
                }
            }
            Kind::Call(_) => self.close_call(&open),
        }
        if let Some(part) = open.part() {
            self.emit_for_item(&open, "response.content_part.done", "part", part);
        }
        let item = open.item(status);
        self.emit(
            "response.output_item.done",
            json!({"output_index": self.items.len(), "item": item}),
        );
        self.items.push(item);
    }

    fn close_call(&mut self, open: &Open) {
        match open.call.as_ref().map(|call| &call.kind) {
            Some(ToolKind::Function { name, .. }) => {
                self.emit_for_item(
                    open,
                    "response.function_call_arguments.done",
                    "arguments",
                    open.text.as_str().into(),
                );
                if let Some((_, data)) = self.events.last_mut() {
                    data["name"] = name.as_str().into();
                }
            }
            Some(ToolKind::Custom) => {
                let input = custom_tools::input(&open.text);
                for (name, field) in [
                    ("response.custom_tool_call_input.delta", "delta"),
                    ("response.custom_tool_call_input.done", "input"),
                ] {
                    self.emit_for_item(open, name, field, input.as_str().into());
                }
            }
            _ => {}
        }
    }

    fn emit(&mut self, name: &'static str, data: Value) {
        self.events.push((name, data));
    }

    /// Emits an event about an item.
    fn emit_for_item(&mut self, open: &Open, name: &'static str, field: &str, value: Value) {
        let mut data = json!({"item_id": open.id, "output_index": self.items.len()});
        if !matches!(open.kind, Kind::Call(_)) {
            data["content_index"] = 0.into();
        }
        data[field] = value;
        self.emit(name, data);
    }
}

impl Open {
    fn item(&self, status: &str) -> Value {
        match self.kind {
            Kind::Reasoning => json!({
                "id": self.id,
                "type": "reasoning",
                "status": status,
                "summary": [],
                "content": [self.part()],
            }),
            Kind::Message => json!({
                "id": self.id,
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": [self.part()],
            }),
            Kind::Call(_) => self.call.as_ref().map_or(Value::Null, |call| {
                call.kind
                    .item(&self.id, &call.id, &call.name, &self.text, status)
            }),
        }
    }

    /// The content part with the text. Tool calls have none.
    fn part(&self) -> Option<Value> {
        match self.kind {
            Kind::Reasoning => Some(json!({"type": "reasoning_text", "text": self.text})),
            Kind::Message => Some(json!({
                "type": "output_text",
                "text": self.text,
                "annotations": [],
                "logprobs": self.logprobs,
            })),
            Kind::Call(_) => None,
        }
    }
}

impl Call {
    fn is_function(&self) -> bool {
        matches!(self.kind, ToolKind::Function { .. })
    }
}

impl OutputSummary {
    /// Whether the completion was not truncated.
    pub fn is_complete(&self) -> bool {
        !matches!(self.finish.reason, FinishReason::Length(_))
    }

    /// Token counts.
    pub fn usage(&self) -> Value {
        let metrics = &self.finish.metrics;
        json!({
            "input_tokens": metrics.prompt_tokens,
            "input_tokens_details": {
                "cached_tokens": metrics.cached_tokens,
                "cache_write_tokens": 0,
            },
            "output_tokens": metrics.generated_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": metrics.prompt_tokens + metrics.generated_tokens,
        })
    }
}

#[cfg(test)]
mod tests;

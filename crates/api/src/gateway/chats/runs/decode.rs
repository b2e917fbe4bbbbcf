//! The stream of a completion, in each API, as events of a run. Pure.

use serde_json::Value;

use super::meter::Counts;
use crate::wire::chats::ChatProtocol;
use crate::wire::runs::{FinishReason, RunEventKind};

/// What a part of a stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// An event of the run.
    Event(RunEventKind),
    /// All tokens.
    Counts(Counts),
    /// Why the generation ended.
    Finish(FinishReason),
    /// Why it failed.
    Failed(Failure),
}

/// An error as the API has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Its stable name, if the API has one.
    pub code: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Failure {
    /// The error in a body or event; `None` if there is none.
    pub fn read(body: &Value) -> Option<Self> {
        let error = body.get("error").filter(|error| error.is_object())?;
        let name = |field: &str| error[field].as_str().map(str::to_owned);
        Some(Self {
            code: name("code"),
            message: name("message").unwrap_or_else(|| error.to_string()),
        })
    }
}

/// Splits a stream into the data of its events.
#[derive(Debug, Default)]
pub struct EventParser(Vec<u8>);

impl EventParser {
    /// Adds a chunk. Returns the data of the events that it completes.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(chunk);
        let mut events = Vec::new();
        while let Some(end) = self.0.windows(2).position(|bytes| bytes == b"\n\n") {
            let block: Vec<u8> = self.0.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let data = block.lines().filter_map(|line| line.strip_prefix("data:"));
            let data: Vec<&str> = data
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect();
            if !data.is_empty() {
                events.push(data.join("\n"));
            }
        }
        events
    }
}

/// Reads the data of events.
#[derive(Debug)]
pub struct Decoder {
    protocol: ChatProtocol,
    /// The ids of the calls so far.
    calls: Vec<String>,
}

impl Decoder {
    /// For a stream of this API.
    pub fn new(protocol: ChatProtocol) -> Self {
        Self {
            protocol,
            calls: Vec::new(),
        }
    }

    /// What the data of an event says. Data that is not JSON, such as the end of OpenAI's streams, says nothing.
    pub fn decode(&mut self, data: &str) -> Vec<Decoded> {
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            return Vec::new();
        };
        if let Some(failure) = Failure::read(&event) {
            return vec![Decoded::Failed(failure)];
        }
        match self.protocol {
            ChatProtocol::OpenAi => self.completion_chunk(&event),
            ChatProtocol::Anthropic => self.message_event(&event),
        }
    }

    fn completion_chunk(&mut self, chunk: &Value) -> Vec<Decoded> {
        let mut decoded = Vec::new();
        let progress = &chunk["prompt_progress"];
        if progress.is_object() {
            decoded.push(Decoded::Event(RunEventKind::Prefill {
                computed: number(&progress["processed"]),
                cached: number(&progress["cache"]),
                of: number(&progress["total"]),
            }));
        }
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        if let Some(text) = text_of(&delta["reasoning_content"]) {
            decoded.push(Decoded::Event(RunEventKind::Reasoning { text }));
        }
        if let Some(text) = text_of(&delta["content"]) {
            decoded.push(Decoded::Event(RunEventKind::Text { text }));
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            let index = number(&call["index"]) as usize;
            let name = function["name"].as_str();
            let arguments = function["arguments"].as_str().unwrap_or_default();
            decoded.push(self.call(index, call["id"].as_str(), name, arguments));
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            decoded.push(Decoded::Finish(match reason {
                "length" => FinishReason::Length,
                "tool_calls" | "function_call" => FinishReason::ToolCalls,
                _ => FinishReason::Stop,
            }));
        }
        let usage = &chunk["usage"];
        if usage.is_object() {
            decoded.push(Decoded::Counts(Counts {
                prompt: number(&usage["prompt_tokens"]),
                cached: number(&usage["prompt_tokens_details"]["cached_tokens"]),
                completion: number(&usage["completion_tokens"]),
            }));
        }
        decoded
    }

    fn message_event(&mut self, event: &Value) -> Vec<Decoded> {
        match event["type"].as_str().unwrap_or_default() {
            // It comes when the whole prompt is computed.
            "message_start" => {
                let (prompt, cached) = prompt_of(&event["message"]["usage"]);
                vec![Decoded::Event(RunEventKind::Prefill {
                    computed: prompt,
                    cached,
                    of: prompt,
                })]
            }
            "content_block_start" => {
                let block = &event["content_block"];
                if block["type"] != "tool_use" {
                    return Vec::new();
                }
                let index = self.calls.len();
                vec![self.call(index, block["id"].as_str(), block["name"].as_str(), "")]
            }
            "content_block_delta" => self.block_delta(&event["delta"]).into_iter().collect(),
            "message_delta" => message_end(event),
            _ => Vec::new(),
        }
    }

    fn block_delta(&mut self, delta: &Value) -> Option<Decoded> {
        match delta["type"].as_str()? {
            "thinking_delta" => {
                let text = text_of(&delta["thinking"])?;
                Some(Decoded::Event(RunEventKind::Reasoning { text }))
            }
            "text_delta" => {
                let text = text_of(&delta["text"])?;
                Some(Decoded::Event(RunEventKind::Text { text }))
            }
            "input_json_delta" => {
                let arguments = text_of(&delta["partial_json"])?;
                // Only the last block is open.
                let index = self.calls.len().checked_sub(1)?;
                Some(self.call(index, None, None, &arguments))
            }
            _ => None,
        }
    }

    /// A part of a call. Only the first one has an id.
    fn call(
        &mut self,
        index: usize,
        id: Option<&str>,
        name: Option<&str>,
        arguments: &str,
    ) -> Decoded {
        if self.calls.len() <= index {
            self.calls.resize(index + 1, String::new());
        }
        let known = self.calls.get_mut(index);
        let id = match (known, id) {
            (Some(known), Some(id)) => {
                id.clone_into(known);
                id.to_owned()
            }
            (known, _) => known.cloned().unwrap_or_default(),
        };
        Decoded::Event(RunEventKind::ToolCall {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            id,
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        })
    }
}

fn message_end(event: &Value) -> Vec<Decoded> {
    let usage = &event["usage"];
    let (prompt, cached) = prompt_of(usage);
    let reason = match event["delta"]["stop_reason"].as_str() {
        Some("max_tokens") => FinishReason::Length,
        Some("tool_use") => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    };
    let counts = Counts {
        prompt,
        cached,
        completion: number(&usage["output_tokens"]),
    };
    vec![Decoded::Counts(counts), Decoded::Finish(reason)]
}

/// All tokens of the prompt, and those from the prefix cache; Anthropic's `input_tokens` are the others.
fn prompt_of(usage: &Value) -> (u64, u64) {
    let cached = number(&usage["cache_read_input_tokens"]);
    (number(&usage["input_tokens"]) + cached, cached)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn text_of(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn decode(protocol: ChatProtocol, events: &[Value]) -> Vec<Decoded> {
        let mut decoder = Decoder::new(protocol);
        events
            .iter()
            .flat_map(|event| decoder.decode(&event.to_string()))
            .collect()
    }

    fn event(kind: RunEventKind) -> Decoded {
        Decoded::Event(kind)
    }

    fn text(text: &str) -> Decoded {
        event(RunEventKind::Text {
            text: text.to_owned(),
        })
    }

    fn reasoning(text: &str) -> Decoded {
        event(RunEventKind::Reasoning {
            text: text.to_owned(),
        })
    }

    fn call(id: &str, name: Option<&str>, arguments: &str) -> Decoded {
        event(RunEventKind::ToolCall {
            index: 0,
            id: id.to_owned(),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        })
    }

    #[test]
    fn both_apis_say_the_same() {
        let delta = |delta: Value| json!({"choices": [{"delta": delta, "finish_reason": null}]});
        let start =
            json!([{"index": 0, "id": "c1", "function": {"name": "read", "arguments": ""}}]);
        let more = json!([{"index": 0, "function": {"arguments": "{}"}}]);
        let openai = decode(
            ChatProtocol::OpenAi,
            &[
                delta(json!({"role": "assistant", "content": ""})),
                json!({"choices": [{"delta": {}}], "prompt_progress": {"total": 9, "cache": 4, "processed": 6}}),
                delta(json!({"reasoning_content": "hm"})),
                delta(json!({"content": "Hi"})),
                delta(json!({"tool_calls": start})),
                delta(json!({"tool_calls": more})),
                json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
                json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5,
                    "prompt_tokens_details": {"cached_tokens": 4}}}),
            ],
        );
        let prefill = event(RunEventKind::Prefill {
            computed: 6,
            cached: 4,
            of: 9,
        });
        let counts = Decoded::Counts(Counts {
            prompt: 9,
            cached: 4,
            completion: 5,
        });
        let finish = Decoded::Finish(FinishReason::ToolCalls);
        let response = [
            reasoning("hm"),
            text("Hi"),
            call("c1", Some("read"), ""),
            call("c1", None, "{}"),
        ];
        let mut expected = vec![prefill];
        expected.extend(response.clone());
        expected.extend([finish.clone(), counts.clone()]);
        assert_eq!(openai, expected);

        let block = |block: Value| json!({"type": "content_block_start", "content_block": block});
        let part = |delta: Value| json!({"type": "content_block_delta", "delta": delta});
        let usage = json!({"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 5});
        let anthropic = decode(
            ChatProtocol::Anthropic,
            &[
                json!({"type": "message_start", "message": {"usage": usage}}),
                block(json!({"type": "thinking"})),
                part(json!({"type": "thinking_delta", "thinking": "hm"})),
                part(json!({"type": "signature_delta", "signature": ""})),
                block(json!({"type": "text"})),
                part(json!({"type": "text_delta", "text": "Hi"})),
                block(json!({"type": "tool_use", "id": "c1", "name": "read"})),
                part(json!({"type": "input_json_delta", "partial_json": "{}"})),
                json!({"type": "content_block_stop"}),
                json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage}),
                json!({"type": "message_stop"}),
            ],
        );
        let mut expected = vec![event(RunEventKind::Prefill {
            computed: 9,
            cached: 4,
            of: 9,
        })];
        expected.extend(response);
        expected.extend([counts, finish]);
        assert_eq!(anthropic, expected);
    }

    #[test]
    fn errors_are_those_of_the_api() {
        let failure = |code: Option<&str>| {
            Decoded::Failed(Failure {
                code: code.map(str::to_owned),
                message: "no".to_owned(),
            })
        };
        let openai =
            json!({"error": {"message": "no", "code": "worker_failed", "type": "server_error"}});
        let anthropic = |code: Value| {
            let mut error = json!({"type": "api_error", "message": "no"});
            error["code"] = code;
            json!({"type": "error", "error": error})
        };
        assert_eq!(
            decode(ChatProtocol::OpenAi, &[openai]),
            [failure(Some("worker_failed"))]
        );
        for (code, expected) in [
            (Value::Null, None),
            ("worker_failed".into(), Some("worker_failed")),
        ] {
            assert_eq!(
                decode(ChatProtocol::Anthropic, &[anthropic(code)]),
                [failure(expected)]
            );
        }
        assert_eq!(Decoder::new(ChatProtocol::OpenAi).decode("[DONE]"), []);
    }

    proptest! {
        /// However a stream is cut into chunks, its events are the same.
        #[test]
        fn chunks_do_not_matter(texts in prop::collection::vec("\\PC{0,6}", 0..8), size in 1_usize..9) {
            let data: Vec<String> = texts.iter().map(|text| json!({"text": text}).to_string()).collect();
            let stream = data
                .iter()
                .map(|data| format!(": comment\n\nevent: x\ndata: {data}\n\n"))
                .collect::<Vec<_>>()
                .concat();
            let mut parser = EventParser::default();
            let parsed: Vec<String> = stream.as_bytes().chunks(size).flat_map(|chunk| parser.push(chunk)).collect();
            prop_assert_eq!(parsed, data);
        }
    }
}

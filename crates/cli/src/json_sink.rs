//! Prints a completion as JSON, complete or streamed.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::generate::{Completion, CompletionSink, DeltaKind, RequestMetrics, TokenLogprob};
use crate::output::Output;

/// Collects log probabilities and, when streaming, prints each text delta.
#[derive(Debug)]
pub struct JsonSink<'a> {
    output: &'a Output,
    streaming: bool,
    tokens: Vec<Value>,
}

/// The complete result.
#[derive(Debug, Serialize)]
pub struct CompletionReport<'a> {
    /// Distinguishes the result from the deltas before it in a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    model: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
    finish_reason: &'a str,
    #[serde(flatten)]
    metrics: Option<RequestMetrics>,
    /// Only with `--logprobs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<Value>,
}

impl<'a> JsonSink<'a> {
    /// Prints only the result.
    pub fn new(output: &'a Output) -> Self {
        Self {
            output,
            streaming: false,
            tokens: Vec::new(),
        }
    }

    /// Also prints each text delta as a line of JSON.
    pub fn streaming(output: &'a Output) -> Self {
        Self {
            streaming: true,
            ..Self::new(output)
        }
    }

    /// Prints the result.
    pub fn finish(self, model: &str, completion: &Completion) -> io::Result<()> {
        let report = CompletionReport {
            r#type: self.streaming.then_some("result"),
            model,
            text: &completion.content,
            thinking: &completion.reasoning,
            finish_reason: completion.finish.as_str(),
            metrics: completion.metrics,
            tokens: self.tokens,
        };
        if self.streaming {
            self.output.json_line(&report)
        } else {
            self.output.json(&report)
        }
    }
}

impl CompletionSink for JsonSink<'_> {
    fn on_logprob(&mut self, token: &TokenLogprob) -> io::Result<()> {
        let mut entry = entry(token);
        let top = token
            .top
            .iter()
            .map(|token| Value::Object(self::entry(token)));
        entry.insert("top_logprobs".to_owned(), top.collect());
        self.tokens.push(entry.into());
        Ok(())
    }

    fn on_delta(&mut self, kind: DeltaKind, text: &str) -> io::Result<()> {
        if !self.streaming {
            return Ok(());
        }
        let name = match kind {
            DeltaKind::Reasoning => "thinking",
            DeltaKind::Content => "text",
        };
        self.output.json_line(&json!({"type": name, "text": text}))
    }
}

/// A token without `top_logprobs`.
fn entry(token: &TokenLogprob) -> Map<String, Value> {
    let mut entry = Map::new();
    if let Some(id) = token.id {
        entry.insert("id".to_owned(), id.into());
    }
    if let Some(text) = &token.text {
        entry.insert("text".to_owned(), text.as_str().into());
    }
    entry.insert("logprob".to_owned(), token.logprob.into());
    entry
}

//! Prints a completion as JSON, complete or streamed.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::generate::{Answer, Kind, ScoredToken, Sink, Statistics};
use crate::output::Output;

/// Collects scored tokens and, when streaming, prints each piece of text.
#[derive(Debug)]
pub struct JsonSink<'a> {
    output: &'a Output,
    streams: bool,
    tokens: Vec<Value>,
}

/// The complete result.
#[derive(Debug, Serialize)]
pub struct CompletionReport<'a> {
    /// Distinguishes the result from the pieces before it in a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    model: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
    finish_reason: &'a str,
    #[serde(flatten)]
    statistics: Option<Statistics>,
    /// Only with `--logprobs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<Value>,
}

impl<'a> JsonSink<'a> {
    /// Prints only the result.
    pub fn new(output: &'a Output) -> Self {
        Self {
            output,
            streams: false,
            tokens: Vec::new(),
        }
    }

    /// Also prints each piece of text as a line of JSON.
    pub fn streaming(output: &'a Output) -> Self {
        Self {
            streams: true,
            ..Self::new(output)
        }
    }

    /// Prints the result.
    pub fn finish(self, model: &str, answer: &Answer) -> io::Result<()> {
        let report = CompletionReport {
            r#type: self.streams.then_some("result"),
            model,
            text: &answer.text,
            thinking: &answer.thinking,
            finish_reason: answer.finish.as_str(),
            statistics: answer.statistics,
            tokens: self.tokens,
        };
        if self.streams {
            self.output.json_line(&report)
        } else {
            self.output.json(&report)
        }
    }
}

impl Sink for JsonSink<'_> {
    fn scored(&mut self, token: &ScoredToken) -> io::Result<()> {
        let mut entry = entry(token);
        let top = token
            .top
            .iter()
            .map(|token| Value::Object(self::entry(token)));
        entry.insert("top_logprobs".to_owned(), top.collect());
        self.tokens.push(entry.into());
        Ok(())
    }

    fn piece(&mut self, kind: Kind, text: &str) -> io::Result<()> {
        if !self.streams {
            return Ok(());
        }
        let name = match kind {
            Kind::Thinking => "thinking",
            Kind::Answer => "text",
        };
        self.output.json_line(&json!({"type": name, "text": text}))
    }
}

/// A token without its alternatives.
fn entry(token: &ScoredToken) -> Map<String, Value> {
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

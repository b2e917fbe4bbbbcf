//! An answer as JSON: whole, or token by token.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::generate::{Answer, Kind, ScoredToken, Sink, Statistics};
use crate::output::Output;

/// Collects tokens; prints pieces of text at once when asked to.
#[derive(Debug)]
pub struct Recorder<'a> {
    output: &'a Output,
    streams: bool,
    tokens: Vec<Value>,
}

/// The whole answer.
#[derive(Debug, Serialize)]
pub struct AnswerReport<'a> {
    /// Tells the last line of a stream from the pieces before it.
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

impl<'a> Recorder<'a> {
    /// Collects only.
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

    /// Prints the whole answer.
    pub fn finish(self, model: &str, answer: &Answer) -> io::Result<()> {
        let report = AnswerReport {
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

impl Sink for Recorder<'_> {
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

/// A token without what else was likely at its place.
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

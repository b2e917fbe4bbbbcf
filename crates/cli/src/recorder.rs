//! An answer as JSON: whole, or token by token.

use std::io;
use std::path::Path;

use mlxm_engine::{Statistics, Token};
use serde::Serialize;
use serde_json::{Value, json};

use crate::generate::{Answer, Kind, Sink};
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
    model: &'a Path,
    text: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    thinking: &'a str,
    finish_reason: &'static str,
    #[serde(flatten)]
    statistics: Option<Timings>,
    /// Only with `--logprobs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<Value>,
}

/// Counts and times, with units in the names.
#[derive(Debug, Serialize)]
struct Timings {
    prompt_tokens: usize,
    cached_tokens: usize,
    generated_tokens: usize,
    time_to_first_token_ms: f64,
    generation_time_ms: f64,
    prompt_tokens_per_second: f64,
    generation_tokens_per_second: f64,
    peak_memory_bytes: u64,
}

impl From<Statistics> for Timings {
    fn from(statistics: Statistics) -> Self {
        Self {
            prompt_tokens: statistics.prompt_tokens,
            cached_tokens: statistics.cached_tokens,
            generated_tokens: statistics.generated_tokens,
            time_to_first_token_ms: statistics.time_to_first_token.as_secs_f64() * 1e3,
            generation_time_ms: statistics.generation_time.as_secs_f64() * 1e3,
            prompt_tokens_per_second: statistics.prompt_tokens_per_second(),
            generation_tokens_per_second: statistics.generation_tokens_per_second(),
            peak_memory_bytes: statistics.peak_memory_bytes,
        }
    }
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
    pub fn finish(self, model: &Path, answer: &Answer) -> io::Result<()> {
        let report = AnswerReport {
            r#type: self.streams.then_some("result"),
            model,
            text: &answer.text,
            thinking: &answer.thinking,
            finish_reason: answer.ending.as_str(),
            statistics: answer.statistics.map(Timings::from),
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
    fn token(&mut self, token: &Token) -> io::Result<()> {
        if let Some(logprob) = &token.logprob {
            let top = logprob
                .top
                .iter()
                .map(|(id, logprob)| json!({"id": id, "logprob": logprob}));
            self.tokens.push(json!({
                "id": token.id,
                "text": token.text,
                "logprob": logprob.logprob,
                "top_logprobs": top.collect::<Vec<_>>(),
            }));
        }
        Ok(())
    }

    fn piece(&mut self, kind: Kind, text: &str) -> io::Result<()> {
        if !self.streams {
            return Ok(());
        }
        let r#type = match kind {
            Kind::Thinking => "thinking",
            Kind::Answer => "text",
        };
        self.output
            .json_line(&json!({"type": r#type, "text": text}))
    }
}

//! One answer, wherever it is generated: from a conversation to text on the terminal, until it is complete or stopped.
//!
//! A [`Backend`] answers, a [`Sink`] shows; neither knows which kind the other is.

mod collector;
mod local;
mod printer;
mod statistics;

use std::io;

use mlxm_engine::{FinishReason, LengthCause};
use serde_json::Value;

pub use collector::Collector;
pub use local::Local;
pub use printer::Printer;
pub use statistics::{Counts, Statistics};

/// Something that answers conversations: a model in this process, or a server.
pub trait Backend {
    /// What the JSON output calls the model.
    fn name(&self) -> String;

    /// What bounds an answer, as far as it is known here.
    fn limits(&self) -> Limits;

    /// Answers the conversation to its end or to Ctrl-C and passes the answer to `sink` as it comes.
    fn answer(&self, messages: &[Value], sink: &mut dyn Sink) -> Result<Answer, BackendError>;
}

/// Why there is no answer.
#[derive(Debug)]
pub enum BackendError {
    /// This request failed; others may succeed.
    Rejected(anyhow::Error),
    /// The backend or the output failed.
    Fatal(anyhow::Error),
}

impl BackendError {
    /// The error, for single requests.
    pub fn into_inner(self) -> anyhow::Error {
        match self {
            Self::Rejected(error) | Self::Fatal(error) => error,
        }
    }
}

impl From<io::Error> for BackendError {
    fn from(error: io::Error) -> Self {
        Self::Fatal(error.into())
    }
}

/// What bounds an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Tokens of prompt and answer together.
    pub context_length: Option<usize>,
    /// Tokens of the answer.
    pub max_tokens: Option<usize>,
}

/// Why a completion ended: the engine's reason, or the word of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// Generated in this process, or cancelled by Ctrl-C.
    Engine(FinishReason),
    /// `finish_reason` as a server sent it.
    Server(String),
}

impl Finish {
    /// The name in the JSON output.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Engine(FinishReason::Length(LengthCause::ContextLength)) => "context_full",
            Self::Engine(FinishReason::Cancelled) => "interrupted",
            Self::Engine(reason) => reason.as_str(),
            Self::Server(word) => word,
        }
    }

    /// Whether Ctrl-C ended it.
    pub fn is_interrupted(&self) -> bool {
        *self == Self::Engine(FinishReason::Cancelled)
    }

    /// A note for the terminal, unless the completion ended normally.
    pub fn note(&self, limits: Limits) -> Option<String> {
        match self {
            Self::Engine(FinishReason::Length(LengthCause::ContextLength)) => {
                let length = limits.context_length?;
                Some(format!(
                    "context full: context length of {length} tokens reached; --context-length N increases it"
                ))
            }
            Self::Engine(FinishReason::Length(LengthCause::MaxTokens)) => {
                Some(truncated(limits.max_tokens))
            }
            Self::Server(word) if word == "length" => Some(truncated(limits.max_tokens)),
            Self::Server(word) if word != "stop" => Some(format!("finish reason: {word}")),
            Self::Engine(
                FinishReason::Stop(_) | FinishReason::ToolCalls | FinishReason::Cancelled,
            )
            | Self::Server(_) => None,
        }
    }
}

fn truncated(max_tokens: Option<usize>) -> String {
    match max_tokens {
        Some(limit) => format!("stopped after {limit} tokens; --max-tokens N increases the limit"),
        None => "stopped at the server's limit; --max-tokens N may increase it".to_owned(),
    }
}

/// A complete or stopped answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What the model said to itself.
    pub thinking: String,
    /// What it said to the person.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Counts and times; absent when it was stopped.
    pub statistics: Option<Statistics>,
}

/// A token with its log-probability, and the likeliest ones at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredToken {
    /// Vocabulary id, where it is told.
    pub id: Option<u64>,
    /// Its text.
    pub text: Option<String>,
    /// Its log-probability.
    pub logprob: f64,
    /// Likeliest first; these have no such list themselves.
    pub top: Vec<ScoredToken>,
}

/// What a piece of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What the model says to itself.
    Thinking,
    /// What it says to the person.
    Answer,
}

/// Receives an answer while it comes.
pub trait Sink {
    /// A token was generated whose log-probability was asked for.
    fn scored(&mut self, token: &ScoredToken) -> io::Result<()>;
    /// A piece of text became certain.
    fn piece(&mut self, kind: Kind, text: &str) -> io::Result<()>;
}

//! Generates the completion of a conversation, locally or on a server, until it is finished or interrupted.
//!
//! A [`Backend`] generates and a [`CompletionSink`] prints; each works with every kind of the other.

mod collector;
mod local;
mod metrics;
mod printer;

use std::io;

use mlxm_engine::{FinishReason, LengthCause};
use serde_json::Value;

pub use collector::Collector;
pub use local::Local;
pub use metrics::{RequestMetrics, TokenCounts};
pub use printer::Printer;

/// Generates completions: a model in this process, or a server.
pub trait Backend {
    /// The model name in the JSON output.
    fn name(&self) -> String;

    /// The limits known on this side.
    fn limits(&self) -> Limits;

    /// Generates the next assistant message, streaming it to `sink`, until it is finished or Ctrl-C is pressed.
    fn generate(
        &self,
        messages: &[Value],
        sink: &mut dyn CompletionSink,
    ) -> Result<Completion, BackendError>;
}

/// Why there is no completion.
#[derive(Debug)]
pub enum BackendError {
    /// This request failed; others may succeed.
    Rejected(anyhow::Error),
    /// The backend or the output failed.
    Fatal(anyhow::Error),
}

impl BackendError {
    /// The underlying error, where both kinds are handled alike.
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

/// Limits of a completion.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Context length in tokens, prompt and completion together.
    pub context_length: Option<usize>,
    /// Maximum number of new tokens.
    pub max_tokens: Option<usize>,
}

/// Why a completion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// Generated in this process, or interrupted by Ctrl-C.
    Engine(FinishReason),
    /// The `finish_reason` of a server.
    Server(String),
}

impl Finish {
    /// `finish_reason` in the JSON output.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Engine(FinishReason::Cancelled) => "interrupted",
            Self::Engine(reason) => reason.as_str(),
            Self::Server(reason) => reason,
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
            Self::Server(reason) if reason == "length" => Some(truncated(limits.max_tokens)),
            Self::Server(reason) if reason != "stop" => Some(format!("finish reason: {reason}")),
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

/// A finished or interrupted completion.
#[derive(Debug, Clone)]
pub struct Completion {
    /// Reasoning text.
    pub reasoning: String,
    /// Content text.
    pub content: String,
    /// Why it ended.
    pub finish: Finish,
    /// `None` if interrupted.
    pub metrics: Option<RequestMetrics>,
}

/// A token with its log probability.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// Token ID, if known.
    pub id: Option<u64>,
    /// Decoded text.
    pub text: Option<String>,
    /// Log probability.
    pub logprob: f64,
    /// The most likely tokens at this position, most likely first; empty for these tokens themselves.
    pub top: Vec<TokenLogprob>,
}

/// What a text delta belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaKind {
    /// Reasoning (thinking).
    Reasoning,
    /// Content.
    Content,
}

/// Receives a completion as it is generated.
pub trait CompletionSink {
    /// A token was generated, with the requested log probabilities.
    fn on_logprob(&mut self, token: &TokenLogprob) -> io::Result<()>;

    /// Text was generated.
    fn on_delta(&mut self, kind: DeltaKind, text: &str) -> io::Result<()>;
}

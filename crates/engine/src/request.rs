//! What a caller asks for and what it gets back: [`Request`], [`Event`], [`Finished`].

use std::sync::Arc;
use std::time::Duration;

use mlxm_scheduler::Priority;

use crate::sampling::{Constraint, SamplingParams, TokenLogprob};

/// One generation.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Token ids of the prompt, special tokens included. Must not be empty.
    pub prompt: Vec<u32>,
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// Most tokens to generate; without it, as many as the context holds.
    pub max_tokens: Option<usize>,
    /// Strings that end the answer. They are found across token borders and are not part of the text.
    pub stop: Vec<String>,
    /// Go on after an end-of-sequence token (benchmarks). With a constraint, which allows such a token only where the text
    /// may end, the answer ends there all the same.
    pub ignore_eos: bool,
    /// The form that the answer has to have. It is still cut by `stop` and `max_tokens`. Its state is that of the start of
    /// the answer; a clone of the request carries a copy of its own.
    pub constraint: Option<Box<dyn Constraint>>,
    /// Whether the prompt's cached prefix may be used and left behind for later requests.
    pub no_prefix_cache: bool,
    /// Cached prefixes are shared only between requests of the same cache_salt: users or adapters that must not see whether
    /// another one asked the same.
    pub cache_salt: u64,
    /// How soon the answer is wanted.
    pub priority: Priority,
    /// Log-probabilities of the prompt's tokens, too, each with those of this many others. Such a prompt is computed as a
    /// whole, whatever the cache holds of it.
    pub prompt_logprobs: Option<usize>,
    /// Special tokens that appear in the text all the same, such as the marks around a tool call. The others stay hidden.
    pub keep_special_tokens: Arc<[u32]>,
}

/// One step of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A token was generated.
    Token(Token),
    /// The answer is complete; nothing follows.
    Finished(Finished),
}

/// A generated token.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Vocabulary id.
    pub id: u32,
    /// Text that became certain with this token. Empty while a character or a possible stop string is incomplete.
    pub text: String,
    /// Present when the request asked for log-probabilities.
    pub logprob: Option<TokenLogprob>,
}

/// Why a generation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The output is complete.
    Stop(StopCause),
    /// A length limit truncated the output.
    Length(LengthCause),
    /// The output is complete and calls tools. Only a parser of the text knows; the engine itself never reports it.
    ToolCalls,
    /// The caller cancelled the generation. The engine itself never reports it: a dropped generation has no more events.
    Cancelled,
}

/// What completed the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopCause {
    /// The model generated this end-of-sequence token.
    EndOfSequence(u32),
    /// This stop string appeared in the text.
    StopString(String),
    /// The constraint is fulfilled and allows nothing more.
    ConstraintComplete,
}

/// Which limit truncated the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthCause {
    /// `max_tokens` of the request.
    MaxTokens,
    /// The context length of the engine.
    ContextLength,
}

impl FinishReason {
    /// The name for output, as in OpenAI's API: `stop`, `length`, `tool_calls`; `cancelled` in addition.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stop(_) => "stop",
            Self::Length(_) => "length",
            Self::ToolCalls => "tool_calls",
            Self::Cancelled => "cancelled",
        }
    }

    /// The stop string that ended the output, if one did.
    pub fn stop_string(&self) -> Option<&str> {
        match self {
            Self::Stop(StopCause::StopString(stop)) => Some(stop),
            _ => None,
        }
    }
}

/// The end of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Why it ended.
    pub reason: FinishReason,
    /// Text that was still held back.
    pub text: String,
    /// Counts and times.
    pub metrics: RequestMetrics,
    /// Of all tokens of the prompt but the first, if the request asked for them: those of the model, without penalties.
    pub prompt_logprobs: Vec<TokenLogprob>,
}

/// Counts and times of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RequestMetrics {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of those, how many were found in the cache.
    pub cached_tokens: usize,
    /// Tokens generated, the end-of-sequence token included.
    pub generated_tokens: usize,
    /// From submission to the beginning of the first step that computed a part of it.
    pub queue_time: Duration,
    /// From submission to the first generated token.
    pub time_to_first_token: Duration,
    /// From the first generated token to the last.
    pub generation_time: Duration,
    /// Largest resident memory of this process so far, in bytes.
    pub peak_memory_bytes: u64,
}

impl RequestMetrics {
    /// Prompt tokens computed per second: cached tokens cost nothing and do not count.
    pub fn prompt_tokens_per_second(&self) -> f64 {
        rate(
            self.prompt_tokens - self.cached_tokens,
            self.time_to_first_token,
        )
    }

    /// Generated tokens per second after the first one.
    pub fn generation_tokens_per_second(&self) -> f64 {
        rate(
            self.generated_tokens.saturating_sub(1),
            self.generation_time,
        )
    }
}

fn rate(tokens: usize, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        tokens as f64 / time.as_secs_f64()
    }
}

/// Logits of consecutive positions, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    /// Positions.
    pub rows: usize,
    /// Entries of a row.
    pub vocab_size: usize,
    /// `rows × vocab_size` values.
    pub values: Vec<f32>,
}

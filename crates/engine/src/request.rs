//! A request and its results: [`Request`], [`Event`], [`Finished`].

use std::sync::Arc;
use std::time::Duration;

use mlxm_scheduler::Priority;

use crate::sampling::{Constraint, SamplingParams, TokenLogprob};

/// One generation.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Token ids of the prompt, special tokens included. Must not be empty.
    pub prompt: Vec<u32>,
    /// How tokens are sampled.
    pub sampling: SamplingParams,
    /// Maximum number of tokens to generate; limited by the context length alone when absent.
    pub max_tokens: Option<usize>,
    /// Stop strings. They are found across token boundaries and are not part of the text.
    pub stop: Vec<String>,
    /// Continue after an end-of-sequence token (for benchmarks). Ignored with a constraint, which allows such a token only
    /// where the text may end.
    pub ignore_eos: bool,
    /// Constrains the output (structured output). `stop` and `max_tokens` still apply. Must be in its initial state. Cloning the
    /// request forks it.
    pub constraint: Option<Box<dyn Constraint>>,
    /// Disables prefix caching: the request neither reads the prefix cache nor adds to it.
    pub no_prefix_cache: bool,
    /// Cached prefixes are shared only between requests with the same salt. With different salts, a user cannot infer from the
    /// latency whether another user sent the same prompt.
    pub cache_salt: u64,
    /// Scheduling priority.
    pub priority: Priority,
    /// Also return log-probabilities of the prompt's tokens, each with this many most probable alternatives. Such a prompt
    /// does not use the prefix cache.
    pub prompt_logprobs: Option<usize>,
    /// Special tokens to keep in the text, such as the delimiters of a tool call. All others are removed.
    pub keep_special_tokens: Arc<[u32]>,
    /// The text continues that of the prompt: a space before its first word is kept, also by decoders that remove it at the start
    /// of a text. Ignored with a constraint, whose text starts with the completion.
    pub continues_prompt: bool,
    /// Send [`Event::Prefill`] while the prompt is computed.
    pub reports_prefill: bool,
}

/// An event of a generation.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A step has computed a part of the prompt. Only sent if [`Request::reports_prefill`] is set.
    Prefill(PrefillProgress),
    /// The prompt is computed: the first token follows.
    Started(Started),
    /// A token was generated.
    Token(Token),
    /// The generation is complete. This is the last event.
    Finished(Finished),
}

/// How far the prompt of a request is computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrefillProgress {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Prompt tokens found in the prefix cache.
    pub cached_tokens: usize,
    /// Prompt tokens in the KV cache, those from the prefix cache included.
    pub computed_tokens: usize,
    /// From the start of the first step that computed a part of the prompt.
    pub time: Duration,
}

/// The start of a generation. The counts and times are those of [`RequestMetrics`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Started {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Prompt tokens found in the prefix cache.
    pub cached_tokens: usize,
    /// From submission to the start of the first step that computed a part of it.
    pub queue_time: Duration,
    /// From submission to the first generated token.
    pub time_to_first_token: Duration,
}

/// A generated token.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Vocabulary id.
    pub id: u32,
    /// Text that this token completes. Empty while a character or a possible stop string is incomplete.
    pub text: String,
    /// Present when the request asked for log-probabilities.
    pub logprob: Option<TokenLogprob>,
    /// Tokens at the end, up to this one, of whose text nothing was sent, because it may belong to a stop string.
    pub held_back: usize,
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

/// The result of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Why it ended.
    pub reason: FinishReason,
    /// The remaining text, which was held back as a possible start of a stop string.
    pub text: String,
    /// Counts and times.
    pub metrics: RequestMetrics,
    /// Log-probabilities of all prompt tokens except the first, if requested. Without bias and penalties.
    pub prompt_logprobs: Vec<TokenLogprob>,
    /// Tokens at the end of the completion that are not part of its text, because a stop string ended the text before them.
    pub tokens_past_text: usize,
}

/// Token counts and timings of one request.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RequestMetrics {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Prompt tokens found in the prefix cache.
    pub cached_tokens: usize,
    /// Tokens generated, the end-of-sequence token included.
    pub generated_tokens: usize,
    /// From submission to the start of the first step that computed a part of it.
    pub queue_time: Duration,
    /// From submission to the first generated token.
    pub time_to_first_token: Duration,
    /// From the first generated token to the last.
    pub generation_time: Duration,
    /// Largest resident memory of this process so far, in bytes.
    pub peak_memory_bytes: u64,
}

impl RequestMetrics {
    /// Prompt tokens computed per second: neither cached tokens nor the time in the queue count.
    pub fn prompt_tokens_per_second(&self) -> f64 {
        rate(
            self.prompt_tokens.saturating_sub(self.cached_tokens),
            self.time_to_first_token.saturating_sub(self.queue_time),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_tokens_per_second_excludes_cached_tokens_and_queue_time() {
        let metrics = RequestMetrics {
            prompt_tokens: 150,
            cached_tokens: 50,
            queue_time: Duration::from_secs(3),
            time_to_first_token: Duration::from_secs(5),
            ..RequestMetrics::default()
        };
        assert_eq!(metrics.prompt_tokens_per_second(), 50.0);
        let not_started = RequestMetrics {
            queue_time: Duration::from_secs(5),
            ..metrics
        };
        assert_eq!(not_started.prompt_tokens_per_second(), 0.0);
    }
}

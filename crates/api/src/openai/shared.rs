//! What chats and completions have in common.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use mlxm_engine::{Priority, RequestMetrics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::ApiError;
use crate::generate::{Finish, GenerationParams};
use crate::openapi::requests;

/// A name with letters behind it that no other has.
pub fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", Uuid::new_v4().simple())
}

/// Text, or a list of texts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(value: OneOrMany) -> Self {
        match value {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        }
    }
}

/// What a stream has beyond the answer.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
pub struct StreamOptions {
    /// Count tokens in a last chunk.
    #[serde(default)]
    pub include_usage: bool,
    /// FieldPolicy; the length of chunks is not padded here.
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "taken without a word: it changes nothing about an answer"
    )]
    pub include_obfuscation: bool,
}

/// The fields of [`SamplingFields`] and [`StreamFields`], which chats and completions read.
macro_rules! shared_fields {
    ($($more:literal),* $(,)?) => {
        &[
            "model", "stream", "stream_options", "timings", "temperature", "top_p", "top_k", "min_p",
            "repetition_penalty", "repetition_context_size", "presence_penalty", "frequency_penalty", "logit_bias", "seed",
            "stop", "n", "ignore_eos", "service_tier", "cache_salt",
            $($more),*
        ]
    };
}
pub(crate) use shared_fields;

/// What is asked of a response as a whole.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct StreamFields {
    pub model: String,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    /// Say where the time went.
    pub timings: Option<bool>,
}

impl StreamFields {
    /// Whether the answer is to be streamed.
    ///
    /// # Errors
    /// When there are options for a stream that is not asked for.
    pub fn streams(&self) -> Result<bool, ApiError> {
        let streams = self.stream.unwrap_or_default();
        if !streams && self.stream_options.is_some() {
            return Err(ApiError::field(
                "stream_options",
                "stream_options needs `\"stream\": true`",
            ));
        }
        Ok(streams)
    }
}

/// How tokens are chosen; the same for chats and completions.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct SamplingFields {
    #[schemars(range(min = 0))]
    pub temperature: Option<f32>,
    #[schemars(range(min = 0.000001, max = 1))]
    pub top_p: Option<f32>,
    pub top_k: Option<usize>,
    #[schemars(range(min = 0, max = 1))]
    pub min_p: Option<f32>,
    #[schemars(range(min = 0.000001))]
    pub repetition_penalty: Option<f32>,
    /// Last tokens, prompt included, that the penalty looks at.
    #[schemars(range(min = 1))]
    pub repetition_context_size: Option<usize>,
    #[schemars(range(min = -2, max = 2))]
    pub presence_penalty: Option<f32>,
    #[schemars(range(min = -2, max = 2))]
    pub frequency_penalty: Option<f32>,
    #[schemars(schema_with = "requests::logit_bias")]
    pub logit_bias: Option<BTreeMap<String, f32>>,
    pub seed: Option<i64>,
    pub stop: Option<OneOrMany>,
    #[schemars(range(min = 1))]
    pub n: Option<usize>,
    pub ignore_eos: Option<bool>,
    /// How soon the answer is wanted: `flex` lets others go first, `priority` goes ahead of others.
    pub service_tier: Option<String>,
    /// Only requests with the same text share what the cache holds of their prompts.
    pub cache_salt: Option<String>,
}

impl SamplingFields {
    /// # Errors
    /// When a key of `logit_bias` is no token id.
    pub fn params(self) -> Result<GenerationParams, ApiError> {
        let bias = self.logit_bias.unwrap_or_default().into_iter();
        let logit_bias = bias
            .map(|(id, value)| {
                if let Ok(id) = id.parse() {
                    Ok((id, value))
                } else {
                    let message = format!("logit_bias has the key {id:?}; its keys are token ids");
                    Err(ApiError::field("logit_bias", message))
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(GenerationParams {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            repetition_context: self.repetition_context_size,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            logit_bias,
            seed: self.seed.map(i64::cast_unsigned),
            stop: self.stop.map(Vec::from).unwrap_or_default(),
            n: self.n,
            ignore_eos: self.ignore_eos.unwrap_or_default(),
            priority: match self.service_tier.as_deref() {
                Some("flex") => Priority::Low,
                Some("priority") => Priority::High,
                _ => Priority::Normal,
            },
            cache_salt: self.cache_salt.as_deref().map_or(0, salt),
            ..GenerationParams::default()
        })
    }
}

/// The number of a salt, which nobody else's text is likely to have.
fn salt(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Tokens that a request took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    pub total_tokens: usize,
    pub prompt_tokens_details: PromptDetails,
}

/// Of a prompt's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PromptDetails {
    /// How many were not computed again.
    pub cached_tokens: usize,
}

impl Usage {
    /// Adds an answer to the same prompt.
    pub fn add_completion(&mut self, metrics: &RequestMetrics) {
        self.prompt_tokens = metrics.prompt_tokens;
        // Answers that start together find what was there before all of them.
        let cached = &mut self.prompt_tokens_details.cached_tokens;
        *cached = metrics.cached_tokens.max(*cached);
        self.completion_tokens += metrics.generated_tokens;
        self.total_tokens = self.prompt_tokens + self.completion_tokens;
    }

    /// Adds what a request with another prompt took.
    pub fn add_prompt(&mut self, other: &Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.prompt_tokens_details.cached_tokens += other.prompt_tokens_details.cached_tokens;
        self.completion_tokens += other.completion_tokens;
        self.total_tokens += other.total_tokens;
    }
}

/// Where the time of an answer went, for requests with `"timings": true`.
pub fn timings(metrics: &RequestMetrics) -> Value {
    json!({
        "queue_ms": metrics.queue_time.as_secs_f64() * 1e3,
        "time_to_first_token_ms": metrics.time_to_first_token.as_secs_f64() * 1e3,
        "generation_ms": metrics.generation_time.as_secs_f64() * 1e3,
        "prompt_tokens_per_second": metrics.prompt_tokens_per_second(),
        "generation_tokens_per_second": metrics.generation_tokens_per_second(),
    })
}

/// The word for an finish.
pub fn finish_reason(finish: &Finish) -> &'static str {
    finish.reason.as_str()
}

/// Seconds since 1970.
pub fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(fields: Value) -> GenerationParams {
        let fields: SamplingFields = serde_json::from_value(fields).unwrap();
        fields.params().unwrap()
    }

    #[test]
    fn tiers_of_service_are_priorities() {
        let priority = |tier: Value| params(json!({"service_tier": tier})).priority;
        assert_eq!(priority(json!("flex")), Priority::Low);
        assert_eq!(priority(json!("priority")), Priority::High);
        for tier in [json!("auto"), json!("default"), json!(null)] {
            assert_eq!(priority(tier), Priority::Normal);
        }
    }

    #[test]
    fn salts_differ_like_their_texts() {
        let salt = |text: Value| params(json!({"cache_salt": text})).cache_salt;
        assert_eq!(salt(json!(null)), 0);
        assert_eq!(salt(json!("ann")), salt(json!("ann")));
        assert_ne!(salt(json!("ann")), salt(json!("bo")));
        assert_ne!(salt(json!("")), 0);
    }
}

//! Fields and values that several of OpenAI's APIs have in common.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use mlxm_engine::{Priority, RequestMetrics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::ApiError;
use crate::generate::{Finish, GenerationParams};
use crate::numbers;
use crate::openapi::requests;

/// A unique id with this prefix.
pub fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", Uuid::new_v4().simple())
}

/// A string or a list of strings.
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

/// Options of a stream.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
pub struct StreamOptions {
    /// Send the usage in a last chunk.
    include_usage: Option<bool>,
    /// Ignored: chunks are not padded.
    #[expect(dead_code, reason = "accepted and ignored")]
    include_obfuscation: Option<bool>,
}

/// Fields of all generation requests.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct StreamFields {
    /// The served model, if omitted.
    pub model: Option<String>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    /// Adds `timings` to the response.
    pub timings: Option<bool>,
}

impl StreamFields {
    /// Whether the response is streamed. Without a stream, its options have no effect.
    pub fn streams(&self) -> bool {
        self.stream.unwrap_or_default()
    }

    /// Whether a stream ends with the usage.
    pub fn includes_usage(&self) -> bool {
        let options = self.stream_options.unwrap_or_default();
        options.include_usage.unwrap_or_default()
    }
}

/// Sampling parameters and limits.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct SamplingFields {
    #[schemars(range(min = 0))]
    pub temperature: Option<f32>,
    #[schemars(range(min = 0, max = 1))]
    pub top_p: Option<f32>,
    #[serde(default, deserialize_with = "numbers::limit")]
    pub top_k: Option<usize>,
    #[schemars(range(min = 0, max = 1))]
    pub min_p: Option<f32>,
    #[schemars(range(min = 0.000001))]
    pub repetition_penalty: Option<f32>,
    /// Number of last tokens, prompt included, that `repetition_penalty` applies to.
    #[schemars(range(min = 1))]
    #[serde(default, deserialize_with = "numbers::whole")]
    pub repetition_context_size: Option<usize>,
    #[schemars(range(min = -2, max = 2))]
    pub presence_penalty: Option<f32>,
    #[schemars(range(min = -2, max = 2))]
    pub frequency_penalty: Option<f32>,
    #[schemars(schema_with = "requests::logit_bias")]
    pub logit_bias: Option<BTreeMap<String, f32>>,
    #[serde(default, deserialize_with = "numbers::whole")]
    pub seed: Option<i64>,
    pub stop: Option<OneOrMany>,
    #[schemars(range(min = 1))]
    #[serde(default, deserialize_with = "numbers::whole")]
    pub n: Option<usize>,
    pub ignore_eos: Option<bool>,
    /// Scheduling priority: `priority` is high, `flex` is low, everything else is normal.
    pub service_tier: Option<String>,
    /// Prefix cache entries are shared only by requests with the same salt.
    pub cache_salt: Option<String>,
}

impl SamplingFields {
    /// The generation parameters.
    ///
    /// # Errors
    /// If a key of `logit_bias` is not a token id.
    pub fn params(self) -> Result<GenerationParams, ApiError> {
        let bias = self.logit_bias.unwrap_or_default().into_iter();
        let logit_bias = bias
            .map(|(id, value)| {
                if let Ok(id) = id.parse() {
                    Ok((id, value))
                } else {
                    let message = format!("logit_bias has the key {id:?}; keys must be token ids");
                    Err(ApiError::field("logit_bias", message))
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(GenerationParams {
            temperature: self.temperature,
            top_p: self.top_p.map(at_least_one_token),
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            repetition_context: self.repetition_context_size,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            logit_bias,
            seed: self.seed.map(i64::cast_unsigned),
            stop: stop_strings(self.stop.map(Vec::from)),
            n: self.n,
            ignore_eos: self.ignore_eos.unwrap_or_default(),
            priority: match self.service_tier.as_deref() {
                Some("flex") => Priority::Low,
                Some("priority") => Priority::High,
                _ => Priority::Normal,
            },
            cache_salt: self.cache_salt.as_deref().map_or(0, hash_salt),
            ..GenerationParams::default()
        })
    }
}

/// `top_p` of 0 keeps the most likely token, as in OpenAI's API; the sampler has values above 0.
pub fn at_least_one_token(top_p: f32) -> f32 {
    if top_p == 0.0 {
        f32::MIN_POSITIVE
    } else {
        top_p
    }
}

/// Stop strings without empty ones, which clients send for "none".
pub fn stop_strings(stop: Option<Vec<String>>) -> Vec<String> {
    let mut stop = stop.unwrap_or_default();
    stop.retain(|text| !text.is_empty());
    stop
}

/// Hashes a cache salt. 0 is the salt of requests without one.
fn hash_salt(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Token counts of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    pub total_tokens: usize,
    pub prompt_tokens_details: PromptDetails,
}

/// Details of the prompt tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PromptDetails {
    /// Tokens found in the prefix cache.
    pub cached_tokens: usize,
}

impl Usage {
    /// Adds a completion of the same prompt.
    pub fn add_completion(&mut self, metrics: &RequestMetrics) {
        self.prompt_tokens = metrics.prompt_tokens;
        // Completions of one prompt are looked up one after the other, so the numbers may differ.
        let cached = &mut self.prompt_tokens_details.cached_tokens;
        *cached = metrics.cached_tokens.max(*cached);
        self.completion_tokens += metrics.generated_tokens;
        self.total_tokens = self.prompt_tokens + self.completion_tokens;
    }

    /// Adds the usage of another prompt.
    pub fn add_prompt(&mut self, other: &Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.prompt_tokens_details.cached_tokens += other.prompt_tokens_details.cached_tokens;
        self.completion_tokens += other.completion_tokens;
        self.total_tokens += other.total_tokens;
    }
}

/// Latencies and speeds of a completion, for requests with `"timings": true`.
pub fn timings(metrics: &RequestMetrics) -> Value {
    json!({
        "queue_ms": metrics.queue_time.as_secs_f64() * 1e3,
        "time_to_first_token_ms": metrics.time_to_first_token.as_secs_f64() * 1e3,
        "generation_ms": metrics.generation_time.as_secs_f64() * 1e3,
        "prompt_tokens_per_second": metrics.prompt_tokens_per_second(),
        "generation_tokens_per_second": metrics.generation_tokens_per_second(),
    })
}

/// The finish reason in OpenAI's format.
pub fn finish_reason(finish: &Finish) -> &'static str {
    finish.reason.as_str()
}

/// Seconds since the Unix epoch.
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
    fn service_tiers_map_to_priorities() {
        let priority = |tier: Value| params(json!({"service_tier": tier})).priority;
        assert_eq!(priority(json!("flex")), Priority::Low);
        assert_eq!(priority(json!("priority")), Priority::High);
        for tier in [json!("auto"), json!("default"), json!(null)] {
            assert_eq!(priority(tier), Priority::Normal);
        }
    }

    #[test]
    fn different_cache_salts_have_different_hashes() {
        let salt = |text: Value| params(json!({"cache_salt": text})).cache_salt;
        assert_eq!(salt(json!(null)), 0);
        assert_eq!(salt(json!("ann")), salt(json!("ann")));
        assert_ne!(salt(json!("ann")), salt(json!("bo")));
        assert_ne!(salt(json!("")), 0);
    }
}

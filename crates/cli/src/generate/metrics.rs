//! Token counts and latencies of a request, as text and as JSON.

use std::time::Duration;

use indicatif::DecimalBytes;
use serde::Serialize;

use crate::units;

/// Metrics of a request; these are the field names of the JSON output. A server may not report all of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RequestMetrics {
    /// Prompt tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<usize>,
    /// Prompt tokens found in the prefix cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<usize>,
    /// Generated tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_tokens: Option<usize>,
    /// Time from the request to the first token.
    pub time_to_first_token_ms: f64,
    /// Time from the first token to the last.
    pub generation_time_ms: f64,
    /// Prefill speed: uncached prompt tokens divided by the time to first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_per_second: Option<f64>,
    /// Decode speed: tokens per second after the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_tokens_per_second: Option<f64>,
    /// Peak resident memory of this process, for local models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

impl From<mlxm_engine::RequestMetrics> for RequestMetrics {
    fn from(metrics: mlxm_engine::RequestMetrics) -> Self {
        Self {
            peak_memory_bytes: Some(metrics.peak_memory_bytes),
            ..Self::from_timings(
                metrics.time_to_first_token,
                metrics.generation_time,
                TokenCounts {
                    prompt: Some(metrics.prompt_tokens),
                    cached: Some(metrics.cached_tokens),
                    generated: Some(metrics.generated_tokens),
                },
            )
        }
    }
}

/// Token counts of a request, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenCounts {
    pub prompt: Option<usize>,
    pub cached: Option<usize>,
    pub generated: Option<usize>,
}

impl RequestMetrics {
    /// Metrics of a request with these latencies.
    pub fn from_timings(
        time_to_first_token: Duration,
        generation_time: Duration,
        counts: TokenCounts,
    ) -> Self {
        let computed = |prompt: usize| prompt.saturating_sub(counts.cached.unwrap_or_default());
        Self {
            prompt_tokens: counts.prompt,
            cached_tokens: counts.cached,
            generated_tokens: counts.generated,
            time_to_first_token_ms: time_to_first_token.as_secs_f64() * 1e3,
            generation_time_ms: generation_time.as_secs_f64() * 1e3,
            prompt_tokens_per_second: counts
                .prompt
                .map(|prompt| rate(computed(prompt), time_to_first_token)),
            generation_tokens_per_second: counts
                .generated
                .map(|generated| rate(generated.saturating_sub(1), generation_time)),
            peak_memory_bytes: None,
        }
    }

    /// All metrics on one line.
    pub fn describe(&self) -> String {
        let first_token = Duration::from_secs_f64(self.time_to_first_token_ms / 1e3);
        let mut parts = Vec::new();
        if let Some((tokens, speed)) = self.prompt_tokens.zip(self.prompt_tokens_per_second) {
            let cached = match self.cached_tokens {
                Some(cached @ 1..) => format!(" ({cached} cached)"),
                _ => String::new(),
            };
            parts.push(format!("prompt {tokens} tokens{cached}, {speed:.1} tok/s"));
        }
        parts.push(format!(
            "time to first token {}",
            units::duration(first_token)
        ));
        if let Some((tokens, speed)) = self.generated_tokens.zip(self.generation_tokens_per_second)
        {
            parts.push(format!("generation {tokens} tokens, {speed:.1} tok/s"));
        }
        if let Some(bytes) = self.peak_memory_bytes {
            parts.push(format!("peak memory {}", DecimalBytes(bytes)));
        }
        parts.join(" · ")
    }

    /// Prompt and generated tokens, if both are known.
    pub fn context_tokens(&self) -> Option<usize> {
        Some(self.prompt_tokens? + self.generated_tokens?)
    }
}

fn rate(tokens: usize, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        tokens as f64 / time.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_values_are_omitted() {
        let time = Duration::from_millis(500);
        let known = TokenCounts {
            prompt: Some(110),
            cached: Some(60),
            generated: Some(11),
        };
        let all = RequestMetrics::from_timings(time, 2 * time, known);
        assert_eq!(
            all.describe(),
            "prompt 110 tokens (60 cached), 100.0 tok/s · time to first token 500 ms · generation 11 tokens, 10.0 tok/s"
        );
        assert_eq!(all.context_tokens(), Some(121));
        let none = RequestMetrics::from_timings(time, time, TokenCounts::default());
        assert_eq!(none.describe(), "time to first token 500 ms");
        assert_eq!(none.context_tokens(), None);
        let json = serde_json::to_value(none).unwrap();
        assert!(json.get("prompt_tokens").is_none(), "{json}");
    }
}

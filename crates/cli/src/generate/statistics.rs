//! Counts and times of an answer, for people and as JSON.

use std::time::Duration;

use serde::Serialize;

use crate::units;

/// Counts and times, with units in the names. A server does not tell all of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Statistics {
    /// Tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<usize>,
    /// Of those, how many were found in the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<usize>,
    /// Tokens generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_tokens: Option<usize>,
    /// From the request to the first token.
    pub time_to_first_token_ms: f64,
    /// From the first token to the last.
    pub generation_time_ms: f64,
    /// Prompt tokens computed per second until the first token; cached ones do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_per_second: Option<f64>,
    /// Tokens per second after the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_tokens_per_second: Option<f64>,
    /// Largest resident memory of the process with the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

impl From<mlxm_engine::RequestMetrics> for Statistics {
    fn from(statistics: mlxm_engine::RequestMetrics) -> Self {
        Self {
            peak_memory_bytes: Some(statistics.peak_memory_bytes),
            ..Self::measured(
                statistics.time_to_first_token,
                statistics.generation_time,
                Counts {
                    prompt: Some(statistics.prompt_tokens),
                    cached: Some(statistics.cached_tokens),
                    generated: Some(statistics.generated_tokens),
                },
            )
        }
    }
}

/// Tokens of a prompt and of its answer, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub prompt: Option<usize>,
    pub cached: Option<usize>,
    pub generated: Option<usize>,
}

impl Statistics {
    /// Of an answer with these times.
    pub fn measured(
        time_to_first_token: Duration,
        generation_time: Duration,
        counts: Counts,
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

    /// All of it on one line.
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
            parts.push(format!("peak memory {}", units::bytes(bytes)));
        }
        parts.join(" · ")
    }

    /// Tokens of prompt and answer together, where both are known.
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
        let known = Counts {
            prompt: Some(110),
            cached: Some(60),
            generated: Some(11),
        };
        let all = Statistics::measured(time, 2 * time, known);
        assert_eq!(
            all.describe(),
            "prompt 110 tokens (60 cached), 100.0 tok/s · time to first token 500 ms · generation 11 tokens, 10.0 tok/s"
        );
        assert_eq!(all.context_tokens(), Some(121));
        let none = Statistics::measured(time, time, Counts::default());
        assert_eq!(none.describe(), "time to first token 500 ms");
        assert_eq!(none.context_tokens(), None);
        let json = serde_json::to_value(none).unwrap();
        assert!(json.get("prompt_tokens").is_none(), "{json}");
    }
}

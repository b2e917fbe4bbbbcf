//! Throughput and latency of one run.

use super::load::Run;
use crate::commands::bench::statistics::quantile;
use serde::Serialize;

/// Throughput and latency of one run of a server.
#[derive(Clone, Debug, Serialize)]
pub struct RunMetrics {
    /// Output tokens of all requests per second, while all clients had work.
    pub output_tps: f64,
    /// Complete responses per second over the whole run.
    pub requests_per_second: f64,
    /// Complete responses.
    pub completions: usize,
    /// Tokens of their prompts.
    pub prompt_tokens: usize,
    /// Tokens of the responses.
    pub output_tokens: usize,
    /// Requests without a complete response.
    pub errors: usize,
    /// The first error message.
    pub error: Option<String>,
    /// Time to first token, counted from when each request was due.
    pub ttft_ms: Vec<f64>,
    /// Inter-token latency over all responses, 50th percentile.
    pub inter_token_p50_ms: f64,
    /// The same, 90th percentile.
    pub inter_token_p90_ms: f64,
    #[serde(skip)]
    pub inter_token_ms: Vec<f64>,
}

impl RunMetrics {
    pub fn of(run: &Run) -> Self {
        let mut metrics = Self {
            output_tps: 0.0,
            requests_per_second: 0.0,
            completions: 0,
            prompt_tokens: 0,
            output_tokens: 0,
            errors: 0,
            error: None,
            ttft_ms: Vec::new(),
            inter_token_p50_ms: 0.0,
            inter_token_p90_ms: 0.0,
            inter_token_ms: Vec::new(),
        };
        let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let mut saturated_tokens = 0.0;
        let mut ended = run.started;
        for outcome in &run.outcomes {
            ended = ended.max(outcome.ended);
            let completion = match &outcome.completion {
                Ok(completion) => completion,
                Err(error) => {
                    metrics.errors += 1;
                    metrics.error.get_or_insert_with(|| error.clone());
                    continue;
                }
            };
            metrics.completions += 1;
            metrics.prompt_tokens += completion.prompt_tokens;
            metrics.output_tokens += completion.output_tokens;
            if let Some(first) = completion.token_times.first() {
                let waited = first.saturating_duration_since(outcome.due);
                metrics.ttft_ms.push(milliseconds(waited));
            }
            let gaps = completion.token_times.windows(2);
            metrics
                .inter_token_ms
                .extend(gaps.map(|pair| milliseconds(pair[1].duration_since(pair[0]))));
            let in_time = completion
                .token_times
                .iter()
                .filter(|at| **at <= run.saturated_until);
            saturated_tokens += in_time.count() as f64 * completion.output_tokens as f64
                / completion.token_times.len().max(1) as f64;
        }
        let seconds = |until: std::time::Instant| until.duration_since(run.started).as_secs_f64();
        metrics.output_tps = saturated_tokens / seconds(run.saturated_until).max(1e-9);
        metrics.requests_per_second = metrics.completions as f64 / seconds(ended).max(1e-9);
        metrics.inter_token_p50_ms = quantile(&metrics.inter_token_ms, 0.5).unwrap_or_default();
        metrics.inter_token_p90_ms = quantile(&metrics.inter_token_ms, 0.9).unwrap_or_default();
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{Completion, RequestOutcome};
    use super::*;
    use std::time::{Duration, Instant};

    /// A request with two tokens at each of these times, in milliseconds.
    fn request(start: Instant, due: u64, times: &[u64]) -> RequestOutcome {
        let at = |milliseconds: &u64| start + Duration::from_millis(*milliseconds);
        RequestOutcome {
            due: at(&due),
            ended: at(times.last().unwrap()),
            completion: Ok(Completion {
                token_times: times.iter().map(at).collect(),
                prompt_tokens: 100,
                output_tokens: 2 * times.len(),
            }),
        }
    }

    #[test]
    fn throughput_counts_tokens_while_all_clients_have_work() {
        let start = Instant::now();
        let mut failed = request(start, 0, &[100]);
        failed.completion = Err("no".to_owned());
        let run = Run {
            started: start,
            saturated_until: start + Duration::from_millis(500),
            outcomes: vec![
                request(start, 0, &[100, 200, 300]),
                request(start, 300, &[450, 550, 1000]),
                failed,
            ],
        };
        let metrics = RunMetrics::of(&run);
        // Four events of two tokens in half a second.
        assert!((metrics.output_tps - 16.0).abs() < 1e-9, "{metrics:?}");
        assert!((metrics.requests_per_second - 2.0).abs() < 1e-9);
        assert_eq!(metrics.ttft_ms, [100.0, 150.0]);
        assert_eq!((metrics.completions, metrics.errors), (2, 1));
        assert_eq!(metrics.error.as_deref(), Some("no"));
        assert_eq!((metrics.prompt_tokens, metrics.output_tokens), (200, 12));
        // The gaps are 100, 100, 100 and 450.
        assert_eq!(metrics.inter_token_p50_ms, 100.0);
        assert!((metrics.inter_token_p90_ms - 345.0).abs() < 1e-9);
    }
}

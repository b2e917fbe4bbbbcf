//! From the times of a run to its figures.

use super::load::Run;
use crate::commands::bench::statistics::quantile;
use serde::Serialize;

/// What one run of a server came to.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Tokens of all answers per second, while all clients had work.
    pub output_tps: f64,
    /// Complete answers per second over the whole run.
    pub requests_per_second: f64,
    /// Complete answers.
    pub answers: usize,
    /// Tokens of their prompts.
    pub prompt_tokens: usize,
    /// Tokens of the answers.
    pub output_tokens: usize,
    /// Requests without a complete answer.
    pub errors: usize,
    /// One of the reasons.
    pub error: Option<String>,
    /// From the moment each request was due to its first token.
    pub ttft_ms: Vec<f64>,
    /// Between the tokens of an answer, over all answers.
    pub inter_token_p50_ms: f64,
    /// The same, exceeded by a tenth.
    pub inter_token_p90_ms: f64,
    #[serde(skip)]
    pub inter_token_ms: Vec<f64>,
}

impl Figures {
    pub fn of(run: &Run) -> Self {
        let mut figures = Self {
            output_tps: 0.0,
            requests_per_second: 0.0,
            answers: 0,
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
        for exchange in &run.exchanges {
            ended = ended.max(exchange.ended);
            let answer = match &exchange.answer {
                Ok(answer) => answer,
                Err(error) => {
                    figures.errors += 1;
                    figures.error.get_or_insert_with(|| error.clone());
                    continue;
                }
            };
            figures.answers += 1;
            figures.prompt_tokens += answer.prompt_tokens;
            figures.output_tokens += answer.output_tokens;
            if let Some(first) = answer.pieces.first() {
                let waited = first.saturating_duration_since(exchange.due);
                figures.ttft_ms.push(milliseconds(waited));
            }
            let gaps = answer.pieces.windows(2);
            figures
                .inter_token_ms
                .extend(gaps.map(|pair| milliseconds(pair[1].duration_since(pair[0]))));
            let in_time = answer
                .pieces
                .iter()
                .filter(|at| **at <= run.saturated_until);
            saturated_tokens += in_time.count() as f64 * answer.output_tokens as f64
                / answer.pieces.len().max(1) as f64;
        }
        let seconds = |until: std::time::Instant| until.duration_since(run.started).as_secs_f64();
        figures.output_tps = saturated_tokens / seconds(run.saturated_until).max(1e-9);
        figures.requests_per_second = figures.answers as f64 / seconds(ended).max(1e-9);
        figures.inter_token_p50_ms = quantile(&figures.inter_token_ms, 0.5).unwrap_or_default();
        figures.inter_token_p90_ms = quantile(&figures.inter_token_ms, 0.9).unwrap_or_default();
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{Answer, Exchange};
    use super::*;
    use std::time::{Duration, Instant};

    /// An exchange with these times in milliseconds, and two tokens in each piece.
    fn exchange(start: Instant, due: u64, pieces: &[u64]) -> Exchange {
        let at = |milliseconds: &u64| start + Duration::from_millis(*milliseconds);
        Exchange {
            due: at(&due),
            ended: at(pieces.last().unwrap()),
            answer: Ok(Answer {
                pieces: pieces.iter().map(at).collect(),
                prompt_tokens: 100,
                output_tokens: 2 * pieces.len(),
            }),
        }
    }

    #[test]
    fn tokens_count_while_all_clients_have_work() {
        let start = Instant::now();
        let mut failed = exchange(start, 0, &[100]);
        failed.answer = Err("no".to_owned());
        let run = Run {
            started: start,
            saturated_until: start + Duration::from_millis(500),
            exchanges: vec![
                exchange(start, 0, &[100, 200, 300]),
                exchange(start, 300, &[450, 550, 1000]),
                failed,
            ],
        };
        let figures = Figures::of(&run);
        // Four pieces of two tokens in half a second.
        assert!((figures.output_tps - 16.0).abs() < 1e-9, "{figures:?}");
        assert!((figures.requests_per_second - 2.0).abs() < 1e-9);
        assert_eq!(figures.ttft_ms, [100.0, 150.0]);
        assert_eq!((figures.answers, figures.errors), (2, 1));
        assert_eq!(figures.error.as_deref(), Some("no"));
        assert_eq!((figures.prompt_tokens, figures.output_tokens), (200, 12));
        // The gaps are 100, 100, 100 and 450.
        assert_eq!(figures.inter_token_p50_ms, 100.0);
        assert!((figures.inter_token_p90_ms - 345.0).abs() < 1e-9);
    }
}

//! Tokens and times of a run, measured as its events come.

use std::time::{Duration, Instant};

use crate::wire::runs::{RunEventKind, Usage};

/// Time between two measurements that are sent while text comes.
const INTERVAL: Duration = Duration::from_millis(100);

/// Measures a run.
#[derive(Debug, Clone)]
pub struct Meter {
    started: Instant,
    /// When a server had the request.
    sent: Option<Instant>,
    first_piece: Option<Instant>,
    reasoning: Option<(Instant, Instant)>,
    last_report: Option<Instant>,
    counts: Counts,
    reasoning_pieces: u64,
}

/// Tokens as the server counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Of these, tokens that were in the prefix cache.
    pub cached: u64,
    /// Generated tokens.
    pub completion: u64,
}

impl Meter {
    /// The run starts.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            sent: None,
            first_piece: None,
            reasoning: None,
            last_report: None,
            counts: Counts::default(),
            reasoning_pieces: 0,
        }
    }

    /// A server has the request.
    pub fn sent(&mut self) {
        self.sent = Some(Instant::now());
    }

    /// The server has counted the prompt.
    pub fn count_prompt(&mut self, prompt: u64, cached: u64) {
        self.counts.prompt = prompt;
        self.counts.cached = cached;
    }

    /// The server has counted everything.
    pub fn count(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// Takes an event into account. Returns whether a measurement is due.
    pub fn observe(&mut self, event: &RunEventKind) -> bool {
        let now = Instant::now();
        match event {
            RunEventKind::Prefill { cached, of, .. } => {
                self.count_prompt(*of, *cached);
                return false;
            }
            RunEventKind::Reasoning { .. } => {
                let from = self.reasoning.map_or(now, |(from, _)| from);
                self.reasoning = Some((from, now));
                self.reasoning_pieces += 1;
            }
            RunEventKind::Text { .. } | RunEventKind::ToolCall { .. } => {}
            _ => return false,
        }
        self.counts.completion += 1;
        self.first_piece.get_or_insert(now);
        let is_due = self
            .last_report
            .is_none_or(|last| now.duration_since(last) >= INTERVAL);
        if is_due {
            self.last_report = Some(now);
        }
        is_due
    }

    /// The measurement as of now.
    pub fn usage(&self) -> Usage {
        let now = Instant::now();
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let sent = self.sent.unwrap_or(now);
        Usage {
            prompt_tokens: self.counts.prompt,
            cached_tokens: self.counts.cached,
            completion_tokens: self.counts.completion,
            reasoning_tokens: (self.reasoning_pieces > 0).then_some(self.reasoning_pieces),
            queue_ms: milliseconds(sent.duration_since(self.started)),
            time_to_first_token_ms: self
                .first_piece
                .map(|first| milliseconds(first.saturating_duration_since(sent))),
            reasoning_ms: self
                .reasoning
                .map(|(from, until)| milliseconds(until.duration_since(from))),
            duration_ms: milliseconds(now.duration_since(self.started)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_until_the_server_has_counted() {
        let mut meter = Meter::start();
        assert_eq!(meter.usage().time_to_first_token_ms, None);
        meter.sent();
        let piece = |text: &str| RunEventKind::Text {
            text: text.to_owned(),
        };
        let thought = RunEventKind::Reasoning {
            text: "hm".to_owned(),
        };
        let prefill = RunEventKind::Prefill {
            computed: 8,
            cached: 6,
            of: 8,
        };
        assert!(!meter.observe(&prefill));
        assert!(meter.observe(&thought), "the first piece is reported");
        meter.observe(&piece("a"));
        meter.observe(&piece("b"));
        let usage = meter.usage();
        assert_eq!((usage.prompt_tokens, usage.cached_tokens), (8, 6));
        assert_eq!(usage.completion_tokens, 3);
        assert_eq!(usage.reasoning_tokens, Some(1));
        assert!(usage.time_to_first_token_ms.is_some() && usage.reasoning_ms.is_some());
        meter.count(Counts {
            prompt: 8,
            cached: 6,
            completion: 5,
        });
        assert_eq!(meter.usage().completion_tokens, 5);
    }
}

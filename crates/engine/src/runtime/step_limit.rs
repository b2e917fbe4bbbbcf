//! Adapts the number of tokens of a step to the speed of the machine.
//!
//! Between two steps, requests are accepted and cancelled, and a program that supervises the engine sees that it makes progress.
//! A slow machine with a large model would need minutes for a step of the maximum size.

use std::time::Duration;

/// A longer step makes the following ones smaller.
const LONGEST_STEP: Duration = Duration::from_secs(10);

/// The duration that smaller steps are to have.
const TARGET: Duration = Duration::from_secs(5);

/// The number of tokens that a step may have.
#[derive(Debug)]
pub struct StepLimit {
    tokens: usize,
    max_batch_tokens: usize,
}

impl StepLimit {
    /// The limit is first `max_batch_tokens`, and never more.
    pub fn new(max_batch_tokens: usize) -> Self {
        Self {
            tokens: max_batch_tokens,
            max_batch_tokens,
        }
    }

    /// Records a step of `tokens` tokens. Returns the limit of the following steps if it changes.
    pub fn record(&mut self, tokens: usize, time: Duration) -> Option<usize> {
        let next = if time > LONGEST_STEP {
            let share = TARGET.as_secs_f64() / time.as_secs_f64();
            ((tokens as f64 * share) as usize).clamp(1, self.tokens)
        } else if tokens >= self.tokens && time < TARGET / 2 {
            self.tokens.saturating_mul(2).min(self.max_batch_tokens)
        } else {
            self.tokens
        };
        let changed = next != self.tokens;
        self.tokens = next;
        changed.then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn long_step_makes_the_next_ones_smaller_and_short_ones_larger_again() {
        let mut limit = StepLimit::new(512);
        assert_eq!(limit.record(512, seconds(10.0)), None);
        assert_eq!(limit.record(512, seconds(40.0)), Some(64));
        // As fast as intended.
        assert_eq!(limit.record(64, seconds(5.0)), None);
        assert_eq!(limit.record(64, seconds(2.0)), Some(128));
        assert_eq!(limit.record(128, seconds(2.0)), Some(256));
        assert_eq!(limit.record(256, seconds(0.1)), Some(512));
        assert_eq!(limit.record(512, seconds(0.1)), None);
    }

    #[test]
    fn short_step_of_few_tokens_says_nothing_about_larger_ones() {
        let mut limit = StepLimit::new(512);
        assert_eq!(limit.record(512, seconds(40.0)), Some(64));
        assert_eq!(limit.record(1, seconds(0.1)), None);
    }

    #[test]
    fn limit_is_at_least_one_token_and_never_rises_after_a_long_step() {
        let mut limit = StepLimit::new(512);
        assert_eq!(limit.record(1, seconds(100.0)), Some(1));
        assert_eq!(limit.record(16, seconds(11.0)), None);
    }
}

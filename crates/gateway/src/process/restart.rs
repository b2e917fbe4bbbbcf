//! Whether and when a worker that exited unexpectedly is started again.

use std::collections::VecDeque;
use std::time::Duration;

/// Longest delay before a start.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Random change of a delay, so that several workers that crashed together are not started together.
const JITTER: f64 = 0.2;

/// Exits within [`WINDOW`] after which a worker is not started again.
pub const CRASH_LOOP_EXITS: usize = 5;

/// Time in which exits are counted.
pub const WINDOW: Duration = Duration::from_mins(5);

/// What follows an unexpected exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStart {
    /// A start after this delay, if the worker is still needed.
    After(Duration),
    /// No start until a user starts it or its settings change: it is in a crash loop.
    Never,
}

/// Unexpected exits of workers with the same settings.
#[derive(Debug, Clone, Default)]
pub struct ExitHistory {
    exits: VecDeque<Duration>,
}

impl ExitHistory {
    /// Records an exit at `now`, a monotonic time. `random` is uniform in 0..1.
    pub fn record(&mut self, now: Duration, random: f64) -> NextStart {
        while self
            .exits
            .front()
            .is_some_and(|time| now.saturating_sub(*time) >= WINDOW)
        {
            self.exits.pop_front();
        }
        self.exits.push_back(now);
        if self.exits.len() >= CRASH_LOOP_EXITS {
            return NextStart::Never;
        }
        NextStart::After(backoff(self.exits.len() as u32, random))
    }

    /// Exits that count.
    pub fn count(&self) -> u32 {
        self.exits.len() as u32
    }
}

/// The delay after a number of consecutive exits: 1, 2, 4, … 30 s, changed by at most 20 %.
pub fn backoff(exits: u32, random: f64) -> Duration {
    let doublings = exits.saturating_sub(1).min(10);
    let delay = Duration::from_secs(1 << doublings).min(MAX_DELAY);
    delay.mul_f64(1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_its_limit() {
        let seconds: Vec<u64> = (0..8).map(|exits| backoff(exits, 0.5).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff(u32::MAX, 0.5), MAX_DELAY);
    }

    #[test]
    fn jitter_is_at_most_a_fifth() {
        assert_eq!(backoff(1, 0.0), Duration::from_millis(800));
        assert_eq!(backoff(1, 1.0), Duration::from_millis(1200));
    }

    #[test]
    fn fifth_exit_within_the_window_is_a_crash_loop() {
        let mut history = ExitHistory::default();
        for exit in 1..CRASH_LOOP_EXITS as u64 {
            let next = history.record(Duration::from_secs(exit), 0.5);
            assert!(matches!(next, NextStart::After(_)), "exit {exit}");
        }
        assert_eq!(
            history.record(Duration::from_secs(299), 0.5),
            NextStart::Never
        );
    }

    #[test]
    fn exits_before_the_window_do_not_count() {
        let mut history = ExitHistory::default();
        for exit in 0..20 {
            let next = history.record(WINDOW * exit, 0.5);
            assert_eq!(next, NextStart::After(Duration::from_secs(1)));
        }
        assert_eq!(history.count(), 1);
    }
}

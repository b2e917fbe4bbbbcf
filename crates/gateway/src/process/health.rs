//! Unresponsive and hung workers, from health checks and the engine's step counter.

use std::time::Duration;

use serde::Deserialize;

/// Missed checks after which a worker is unhealthy.
const UNHEALTHY_MISSES: u32 = 3;

/// Missed checks after which it is killed: a minute at the default interval.
const UNRESPONSIVE_MISSES: u32 = 12;

/// Steps of this length and less are never taken for a hang.
pub const MIN_HANG: Duration = Duration::from_mins(1);

/// A step may take this many times the longest one so far.
const LONGEST_STEP_FACTOR: u32 = 10;

/// Counters of a worker's engine: a part of its `/health`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct EngineSample {
    /// Steps so far. One that runs does not count yet.
    pub steps: u64,
    /// Duration of the longest of them.
    pub longest_step_ms: f64,
    /// Requests that are being computed.
    pub running: u64,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It responds.
    Healthy,
    /// It did not respond, but not often enough to matter.
    Missed,
    /// It does not respond.
    Unhealthy,
    /// It has not responded for so long that it has to be killed.
    Unresponsive,
    /// It responds, but its requests make no progress: a stuck GPU driver, for example.
    Hung,
}

/// The checks of one worker.
#[derive(Debug)]
pub struct HealthHistory {
    min_hang: Duration,
    misses: u32,
    last: Option<EngineSample>,
    /// When the step counter advanced or no request was running.
    progress_at: Duration,
}

impl HealthHistory {
    /// No checks yet.
    pub fn new(min_hang: Duration) -> Self {
        Self {
            min_hang,
            misses: 0,
            last: None,
            progress_at: Duration::ZERO,
        }
    }

    /// Records a check without a response.
    pub fn missed(&mut self) -> Verdict {
        self.misses += 1;
        match self.misses {
            UNRESPONSIVE_MISSES.. => Verdict::Unresponsive,
            UNHEALTHY_MISSES.. => Verdict::Unhealthy,
            _ => Verdict::Missed,
        }
    }

    /// Records a response at `now`, a monotonic time.
    pub fn responded(&mut self, sample: EngineSample, now: Duration) -> Verdict {
        self.misses = 0;
        let last = self.last.replace(sample).unwrap_or_default();
        if sample.steps != last.steps || sample.running == 0 || last.running == 0 {
            self.progress_at = now;
        }
        let longest = Duration::try_from_secs_f64(sample.longest_step_ms / 1e3).unwrap_or_default();
        let limit = self.min_hang.max(longest * LONGEST_STEP_FACTOR);
        if now.saturating_sub(self.progress_at) > limit {
            Verdict::Hung
        } else {
            Verdict::Healthy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(steps: u64, longest_step_s: u64, running: u64) -> EngineSample {
        EngineSample {
            steps,
            longest_step_ms: longest_step_s as f64 * 1e3,
            running,
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_misses_are_unhealthy_and_a_response_resets_them() {
        let mut history = HealthHistory::new(MIN_HANG);
        for _ in 0..2 {
            assert_eq!(history.missed(), Verdict::Missed);
            assert_eq!(history.missed(), Verdict::Missed);
            assert_eq!(history.missed(), Verdict::Unhealthy);
            assert_eq!(history.responded(sample(0, 0, 0), at(0)), Verdict::Healthy);
        }
        let verdicts: Vec<Verdict> = (0..12).map(|_| history.missed()).collect();
        assert_eq!(verdicts.last(), Some(&Verdict::Unresponsive));
        assert_eq!(verdicts[10], Verdict::Unhealthy);
    }

    #[test]
    fn running_requests_without_a_step_are_a_hang() {
        let mut history = HealthHistory::new(MIN_HANG);
        assert_eq!(
            history.responded(sample(5, 1, 1), at(100)),
            Verdict::Healthy
        );
        assert_eq!(
            history.responded(sample(5, 1, 1), at(160)),
            Verdict::Healthy
        );
        assert_eq!(history.responded(sample(5, 1, 1), at(161)), Verdict::Hung);
    }

    #[test]
    fn idle_worker_is_never_hung() {
        let mut history = HealthHistory::new(MIN_HANG);
        history.responded(sample(5, 1, 0), at(0));
        assert_eq!(
            history.responded(sample(5, 1, 0), at(9999)),
            Verdict::Healthy
        );
        // A request that has just arrived has had no time for a step.
        assert_eq!(
            history.responded(sample(5, 1, 1), at(10_004)),
            Verdict::Healthy
        );
    }

    #[test]
    fn worker_with_long_steps_gets_more_time() {
        let mut history = HealthHistory::new(MIN_HANG);
        history.responded(sample(0, 0, 1), at(0));
        history.responded(sample(1, 20, 1), at(20));
        assert_eq!(
            history.responded(sample(1, 20, 1), at(220)),
            Verdict::Healthy
        );
        assert_eq!(history.responded(sample(1, 20, 1), at(221)), Verdict::Hung);
    }

    #[test]
    fn counters_are_read_from_the_response_of_any_version() {
        let text =
            r#"{"status":"ready","model":"m","running":3,"steps":42,"longest_step_ms":1500.5}"#;
        let expected = EngineSample {
            steps: 42,
            longest_step_ms: 1500.5,
            running: 3,
        };
        assert_eq!(
            serde_json::from_str::<EngineSample>(text).unwrap(),
            expected
        );
        let former = r#"{"status":"ready","model":"m"}"#;
        let sample: EngineSample = serde_json::from_str(former).unwrap();
        assert_eq!(sample, EngineSample::default());
    }
}

//! Unresponsive and hung workers, from health checks and the engine's step counter.

use std::time::Duration;

/// Missed checks after which a worker is unhealthy.
const UNHEALTHY_MISSES: u32 = 3;

/// Missed checks after which it is killed: a minute at the default interval.
const UNRESPONSIVE_MISSES: u32 = 12;

/// Steps of this length and less are never taken for a hang.
pub const MIN_HANG: Duration = Duration::from_mins(1);

/// A step may take this many times the longest one so far.
const LONGEST_STEP_FACTOR: u32 = 10;

/// Counters of a worker's engine.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EngineSample {
    /// Steps so far.
    pub steps: u64,
    /// Time spent in them.
    pub step_time: Duration,
    /// Requests that are being computed.
    pub requests_running: u64,
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
    longest_step: Duration,
}

impl HealthHistory {
    /// No checks yet.
    pub fn new(min_hang: Duration) -> Self {
        Self {
            min_hang,
            misses: 0,
            last: None,
            progress_at: Duration::ZERO,
            longest_step: Duration::ZERO,
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

    /// Records a response at `now`, a monotonic time. The mean step between two checks is a lower bound of the longest one, and
    /// exact for steps that take longer than the interval, which are the ones that matter.
    pub fn responded(&mut self, sample: EngineSample, now: Duration) -> Verdict {
        self.misses = 0;
        let last = self.last.replace(sample).unwrap_or_default();
        let steps = sample.steps.saturating_sub(last.steps);
        if steps > 0 {
            let time = sample.step_time.saturating_sub(last.step_time);
            let mean = time / u32::try_from(steps).unwrap_or(u32::MAX);
            self.longest_step = self.longest_step.max(mean);
        }
        if steps > 0 || sample.requests_running == 0 || last.requests_running == 0 {
            self.progress_at = now;
        }
        let limit = self.min_hang.max(self.longest_step * LONGEST_STEP_FACTOR);
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

    fn sample(steps: u64, step_s: u64, requests_running: u64) -> EngineSample {
        EngineSample {
            steps,
            step_time: Duration::from_secs(step_s),
            requests_running,
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
}

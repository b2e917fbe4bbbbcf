//! The speed of a transfer over the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time over which it is averaged.
const WINDOW: Duration = Duration::from_secs(5);

/// Positions of the last seconds.
#[derive(Debug, Default)]
pub struct Speed(VecDeque<(Instant, u64)>);

impl Speed {
    /// Notes a position.
    pub fn note(&mut self, now: Instant, position_bytes: u64) {
        if self
            .0
            .back()
            .is_some_and(|(_, last)| *last > position_bytes)
        {
            // Bytes have to be transferred again.
            self.0.clear();
        }
        self.0.push_back((now, position_bytes));
        while self.0.len() > 2
            && self
                .0
                .front()
                .is_some_and(|(time, _)| now.saturating_duration_since(*time) > WINDOW)
        {
            self.0.pop_front();
        }
    }

    /// Forgets everything, as after a pause.
    pub fn reset(&mut self) {
        self.0.clear();
    }

    /// Bytes per second; `None` until there are two positions at different times.
    pub fn bytes_per_second(&self) -> Option<u64> {
        let ((start, from), (end, to)) = (self.0.front()?, self.0.back()?);
        let seconds = end.saturating_duration_since(*start).as_secs_f64();
        (seconds > 0.0).then(|| ((to - from) as f64 / seconds) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut speed = Speed::default();
        assert_eq!(speed.bytes_per_second(), None);
        for second in 0..=20_u64 {
            // Ten times as fast after ten seconds.
            let position = second.min(10) * 100 + second.saturating_sub(10) * 1000;
            speed.note(start + Duration::from_secs(second), position);
            match second {
                0 => assert_eq!(speed.bytes_per_second(), None),
                1..=10 => assert_eq!(speed.bytes_per_second(), Some(100)),
                15.. => assert_eq!(speed.bytes_per_second(), Some(1000)),
                _ => {}
            }
        }
        speed.note(start + Duration::from_secs(21), 0);
        assert_eq!(speed.bytes_per_second(), None);
    }
}

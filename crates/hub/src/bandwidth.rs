//! A limit of bytes per second for all downloads of a hub together.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that were not received may be received later, up to those of this time.
const BURST: Duration = Duration::from_millis(200);

/// A limit of bytes per second, or none. Clones share it, and it can be changed while downloads are running.
#[derive(Debug, Clone, Default)]
pub struct Bandwidth(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes_per_second: Option<NonZeroU64>,
    /// When the bytes received so far have taken their time.
    used_until: Option<Instant>,
}

impl Bandwidth {
    /// Changes the limit; zero and `None` are no limit.
    pub fn set_limit(&self, bytes_per_second: Option<u64>) {
        let mut state = self.lock();
        state.bytes_per_second = bytes_per_second.and_then(NonZeroU64::new);
        state.used_until = None;
    }

    /// The limit in bytes per second.
    pub fn limit(&self) -> Option<u64> {
        self.lock().bytes_per_second.map(NonZeroU64::get)
    }

    /// Counts received bytes. Returns how long to wait before more are received.
    pub(crate) fn received(&self, bytes: usize) -> Duration {
        self.received_at(bytes, Instant::now())
    }

    fn received_at(&self, bytes: usize, now: Instant) -> Duration {
        let mut state = self.lock();
        let Some(limit) = state.bytes_per_second else {
            return Duration::ZERO;
        };
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let start = state.used_until.map_or(now, |until| until.max(earliest));
        let until = start + Duration::from_secs_f64(bytes as f64 / limit.get() as f64);
        state.used_until = Some(until);
        until.saturating_duration_since(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave it half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_share_the_limit() {
        let bandwidth = Bandwidth::default();
        let now = Instant::now();
        assert_eq!(bandwidth.received_at(usize::MAX, now), Duration::ZERO);
        bandwidth.set_limit(Some(1000));
        let other = bandwidth.clone();
        assert_eq!(bandwidth.received_at(500, now), Duration::from_millis(500));
        assert_eq!(other.received_at(500, now), Duration::from_secs(1));
        // Unused time counts only for a moment.
        let later = now + Duration::from_mins(1);
        assert_eq!(other.received_at(1000, later), Duration::from_millis(800));
        other.set_limit(Some(0));
        assert_eq!(bandwidth.limit(), None);
        assert_eq!(bandwidth.received_at(500, later), Duration::ZERO);
    }
}

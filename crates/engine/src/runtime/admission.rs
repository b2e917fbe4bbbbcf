//! Admission control: how many requests are in the engine, and whether it accepts more.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::RequestError;

/// Limits the requests in the engine. A request counts from the moment it is submitted, so the limit holds exactly even if
/// many threads submit at the same time.
#[derive(Debug)]
pub struct Admission {
    /// Requests that can run at the same time.
    max_sequences: usize,
    /// Requests that may be in the engine beyond those.
    max_queued_requests: usize,
    state: Mutex<State>,
    /// Notified when the last request leaves.
    idle: Condvar,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    draining: bool,
}

/// Permission for one request to be in the engine, released on drop.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

impl Admission {
    /// Admits `max_sequences` requests that run and `max_queued_requests` more that wait.
    pub fn new(max_sequences: usize, max_queued_requests: usize) -> Self {
        let state = State {
            in_flight: 0,
            draining: false,
        };
        Self {
            max_sequences,
            max_queued_requests,
            state: Mutex::new(state),
            idle: Condvar::new(),
        }
    }

    /// Acquires a permit for one request.
    ///
    /// # Errors
    /// When the queue is full or the engine is draining.
    pub fn acquire(self: &Arc<Self>) -> Result<Permit, RequestError> {
        let mut state = self.lock();
        if state.draining {
            return Err(RequestError::Draining);
        }
        let waiting = state.in_flight.saturating_sub(self.max_sequences);
        if state.in_flight >= self.max_sequences.saturating_add(self.max_queued_requests) {
            let limit = self.max_queued_requests;
            return Err(RequestError::QueueFull { waiting, limit });
        }
        state.in_flight += 1;
        Ok(Permit(Arc::clone(self)))
    }

    /// Rejects new requests from now on.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// Number of requests in the engine, and whether new ones are rejected.
    pub fn status(&self) -> (usize, bool) {
        let state = self.lock();
        (state.in_flight, state.draining)
    }

    /// Waits until no request is in the engine, at most for `timeout`. Returns whether that is the case.
    pub fn wait_until_idle(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        while state.in_flight > 0 {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    self.idle
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .idle
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is two plain values: a panic elsewhere cannot leave it half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight -= 1;
        if state.in_flight == 0 {
            drop(state);
            self.0.idle.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acquire_never_exceeds_the_limit() {
        let admission = Arc::new(Admission::new(2, 5));
        let permits: Vec<Permit> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..50)
                            .filter_map(|_| admission.acquire().ok())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let permits = callers
                .into_iter()
                .flat_map(|caller| caller.join().unwrap());
            permits.collect()
        });
        assert_eq!(permits.len(), 7);
        assert!(matches!(
            admission.acquire(),
            Err(RequestError::QueueFull {
                waiting: 5,
                limit: 5
            })
        ));
        drop(permits);
        assert_eq!(admission.status(), (0, false));
        assert!(admission.acquire().is_ok());
    }

    #[test]
    fn draining_admission_rejects_and_becomes_idle() {
        let admission = Arc::new(Admission::new(1, 1));
        let permit = admission.acquire().unwrap();
        admission.drain();
        assert!(matches!(admission.acquire(), Err(RequestError::Draining)));
        assert!(!admission.wait_until_idle(Duration::ZERO));
        std::thread::scope(|scope| {
            scope.spawn(|| drop(permit));
            assert!(admission.wait_until_idle(Duration::MAX));
        });
    }
}

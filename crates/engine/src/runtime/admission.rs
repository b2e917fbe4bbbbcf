//! How many requests are in the engine, and whether more may come.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::RequestError;

/// Bounds the requests in the engine. Submitting counts a request at once, whatever the worker is doing, so the bound is
/// exact however many submit at the same time.
#[derive(Debug)]
pub struct Admission {
    /// Requests that can run at the same time.
    places: usize,
    /// Requests that may be here beyond those.
    max_queued_requests: usize,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    draining: bool,
}

/// One request's place in the engine, until it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

impl Admission {
    /// Lets `places` requests run and `max_queued_requests` more wait.
    pub fn new(places: usize, max_queued_requests: usize) -> Self {
        let state = State {
            in_flight: 0,
            draining: false,
        };
        Self {
            places,
            max_queued_requests,
            state: Mutex::new(state),
            left: Condvar::new(),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// When there is none, or no new requests are taken.
    pub fn acquire(self: &Arc<Self>) -> Result<Permit, RequestError> {
        let mut state = self.lock();
        if state.draining {
            return Err(RequestError::Draining);
        }
        let waiting = state.in_flight.saturating_sub(self.places);
        if state.in_flight >= self.places.saturating_add(self.max_queued_requests) {
            let limit = self.max_queued_requests;
            return Err(RequestError::QueueFull { waiting, limit });
        }
        state.in_flight += 1;
        Ok(Permit(Arc::clone(self)))
    }

    /// Refuses new requests from now on.
    pub fn close(&self) {
        self.lock().draining = true;
    }

    /// How many requests are here, and whether more are refused.
    pub fn read(&self) -> (usize, bool) {
        let state = self.lock();
        (state.in_flight, state.draining)
    }

    /// Waits until no request is here, at most for `timeout`. Says whether that is so.
    pub fn wait_until_empty(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        while state.in_flight > 0 {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    self.left
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .left
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
            self.0.left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acquire_never_exceeds_the_limit() {
        let admission = Arc::new(Admission::new(2, 5));
        let places: Vec<Permit> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..50)
                            .filter_map(|_| admission.acquire().ok())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let places = callers
                .into_iter()
                .flat_map(|caller| caller.join().unwrap());
            places.collect()
        });
        assert_eq!(places.len(), 7);
        assert!(matches!(
            admission.acquire(),
            Err(RequestError::QueueFull {
                waiting: 5,
                limit: 5
            })
        ));
        drop(places);
        assert_eq!(admission.read(), (0, false));
        assert!(admission.acquire().is_ok());
    }

    #[test]
    fn closed_admission_rejects_and_drains() {
        let admission = Arc::new(Admission::new(1, 1));
        let place = admission.acquire().unwrap();
        admission.close();
        assert!(matches!(admission.acquire(), Err(RequestError::Draining)));
        assert!(!admission.wait_until_empty(Duration::ZERO));
        std::thread::scope(|scope| {
            scope.spawn(|| drop(place));
            assert!(admission.wait_until_empty(Duration::MAX));
        });
    }
}

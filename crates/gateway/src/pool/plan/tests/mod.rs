//! Scenarios of a pool with a budget of 10 bytes.

mod memory;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::settings::{Class, MemoryDemand, Ttl, UserId};

const DRAIN_AFTER: Duration = Duration::from_secs(30);

/// A pool with a budget of 10 bytes, and its clock.
struct Fixture {
    state: PoolState,
    now: Time,
    requests: u64,
}

/// A model of `bytes`, with one sequence: two requests at once.
pub(super) fn target(name: &str) -> Target {
    Target {
        name: name.to_owned(),
        settings: Arc::new(LoadSettings {
            max_sequences: 1,
            ..LoadSettings::new(name)
        }),
        ttl: Ttl::After(Duration::from_mins(30)),
    }
}

/// Sizes of these bytes, with the same number of tokens.
pub(super) fn demand(bytes: &[u64]) -> Arc<MemoryDemand> {
    let size = |bytes: &u64| CacheSize {
        context_length: *bytes,
        kv_pool_tokens: *bytes,
        plan_bytes: *bytes,
    };
    Arc::new(MemoryDemand {
        sizes: bytes.iter().map(size).collect(),
        largest_context: 7,
        fixed: None,
    })
}

impl Fixture {
    fn new() -> Self {
        Self {
            state: PoolState::new(PlanConfig {
                budget_bytes: 10,
                max_waiting: 8,
                drain_after: DRAIN_AFTER,
            }),
            now: Time::ZERO,
            requests: 0,
        }
    }

    fn apply(&mut self, event: Event) -> Vec<Action> {
        self.state.apply(event, self.now)
    }

    fn arrival(&mut self, name: &str, bytes: &[u64]) -> Arrival {
        self.requests += 1;
        Arrival {
            request: RequestId(self.requests),
            target: target(name),
            demand: demand(bytes),
            user: UserId(Uuid::nil()),
            class: Class::Normal,
            queue_timeout: Duration::from_mins(5),
        }
    }

    fn acquire(&mut self, name: &str, bytes: u64) -> (RequestId, Vec<Action>) {
        let arrival = self.arrival(name, &[bytes]);
        (arrival.request, self.apply(Event::Acquire(arrival)))
    }

    fn acquire_as(&mut self, name: &str, user: u128, class: Class) -> (RequestId, Vec<Action>) {
        let arrival = Arrival {
            user: UserId(Uuid::from_u128(user)),
            class,
            ..self.arrival(name, &[4])
        };
        (arrival.request, self.apply(Event::Acquire(arrival)))
    }

    /// Starts a worker and makes it ready; its request has a lease.
    fn running(&mut self, name: &str, bytes: u64) -> (WorkerId, RequestId) {
        let (request, actions) = self.acquire(name, bytes);
        let worker = started(&actions).expect("the model fits");
        let actions = self.ready(worker, bytes);
        assert_eq!(actions, [Action::Grant { request, worker }]);
        (worker, request)
    }

    fn idle(&mut self, name: &str, bytes: u64) -> WorkerId {
        let (worker, request) = self.running(name, bytes);
        self.now += Duration::from_secs(1);
        self.apply(Event::Release { worker, request });
        worker
    }

    fn ready(&mut self, worker: WorkerId, plan_bytes: u64) -> Vec<Action> {
        self.apply(Event::Ready { worker, plan_bytes })
    }

    fn exited(&mut self, worker: WorkerId) -> Vec<Action> {
        self.apply(Event::Exited {
            worker,
            next: AfterExit::Gone,
        })
    }

    fn after(&mut self, time: Duration) -> Vec<Action> {
        self.now += time;
        self.apply(Event::Tick)
    }
}

fn started(actions: &[Action]) -> Option<WorkerId> {
    actions.iter().find_map(|action| match action {
        Action::Start { worker, .. } => Some(*worker),
        _ => None,
    })
}

fn stopped(actions: &[Action]) -> Vec<WorkerId> {
    let stopped = actions.iter().filter_map(|action| match action {
        Action::Stop { worker, .. } => Some(*worker),
        _ => None,
    });
    stopped.collect()
}

fn granted(actions: &[Action]) -> Vec<RequestId> {
    let granted = actions.iter().filter_map(|action| match action {
        Action::Grant { request, .. } => Some(*request),
        _ => None,
    });
    granted.collect()
}

fn rejection(actions: &[Action]) -> &Rejection {
    let rejection = actions.iter().find_map(|action| match action {
        Action::Reject { rejection, .. } => Some(rejection),
        _ => None,
    });
    rejection.expect("a request is rejected")
}

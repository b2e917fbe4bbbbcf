//! Decisions of the pool as a pure function: [`PoolState::apply`] takes an event and returns actions.
//!
//! There is no clock, no channel and no process here; times are given, so the same events give the same actions. `queue`
//! picks the next request of a worker, `admission` finds memory for a worker that is to be started.
//!
//! # Rules
//! - The plans of all workers, starting and stopping ones included, are at most the budget whenever a worker is started.
//! - Only idle unpinned workers are evicted: those with an expired TTL first, then the least recently used, and no more than
//!   needed.
//! - Requests with equal load settings share one worker and one start.
//! - A request that lacks memory is overtaken by at most [`MAX_OVERTAKEN`] starts of later requests. Once it has waited for
//!   `drain_after`, busy workers whose memory it needs get no later requests, so that they become idle.
//! - Preloads start only in free memory that no request waits for.
//! - A worker of another version is stopped as soon as it is idle. It is started again if it is pinned or requests wait for it.

mod admission;
mod queue;
mod types;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use admission::Verdict;
pub use types::{
    Action, AfterExit, Arrival, Event, Holder, PlanConfig, Rejection, RequestId, Retained,
    StopReason, Time, Worker, WorkerFailure, WorkerId, WorkerState,
};

use crate::settings::{CacheSize, LoadSettings, Target};

/// How many starts of later requests may overtake a request that lacks memory, and how many later requests of the same user
/// with a higher class one that waits for a busy worker.
pub const MAX_OVERTAKEN: u32 = 8;

/// A request in the queue.
#[derive(Debug, Clone)]
struct Waiter {
    arrival: Arrival,
    since: Time,
    overtaken: u32,
}

impl Waiter {
    fn settings(&self) -> &Arc<LoadSettings> {
        &self.arrival.target.settings
    }

    fn rank(&self) -> u8 {
        if self.overtaken >= MAX_OVERTAKEN {
            0
        } else {
            self.arrival.class as u8
        }
    }
}

/// Workers, leases and waiting requests.
#[derive(Debug, Clone)]
pub struct PoolState {
    config: PlanConfig,
    workers: BTreeMap<WorkerId, Worker>,
    /// Waiting requests in the order of arrival.
    queue: BTreeMap<u64, Waiter>,
    /// Pinned and preloaded targets, in the order of their starts.
    retained: Vec<Retained>,
    /// Targets that may not be started before a time.
    backoff: BTreeMap<Arc<LoadSettings>, Time>,
    /// Targets that are not started until they are reset.
    failed: BTreeMap<Arc<LoadSettings>, WorkerFailure>,
    /// Number of the next worker.
    next_worker: u64,
    /// Numbers arrivals and grants.
    sequence: u64,
    closing: bool,
}

impl PoolState {
    /// An empty pool.
    pub fn new(config: PlanConfig) -> Self {
        Self {
            config,
            workers: BTreeMap::new(),
            queue: BTreeMap::new(),
            retained: Vec::new(),
            backoff: BTreeMap::new(),
            failed: BTreeMap::new(),
            next_worker: 0,
            sequence: 0,
            closing: false,
        }
    }

    /// Applies an event that happened at `now`, and returns what has to be done, in order. Times never decrease.
    pub fn apply(&mut self, event: Event, now: Time) -> Vec<Action> {
        let mut actions = Vec::new();
        self.record(event, now, &mut actions);
        self.grant(now, &mut actions);
        self.reject_late(now, &mut actions);
        self.stop_expired(now, &mut actions);
        self.stop_outdated(&mut actions);
        self.shrink(now, &mut actions);
        self.start_for_waiters(now, &mut actions);
        // A worker that no longer has to drain accepts requests again.
        self.grant(now, &mut actions);
        self.preload(now, &mut actions);
        actions
    }

    fn record(&mut self, event: Event, now: Time, actions: &mut Vec<Action>) {
        match event {
            Event::Acquire(arrival) => self.enqueue(arrival, now, actions),
            Event::Cancel(request) => {
                self.queue
                    .retain(|_, waiter| waiter.arrival.request != request);
            }
            Event::Release { worker, request } => {
                if let Some(worker) = self.workers.get_mut(&worker)
                    && worker.leases.remove(&request)
                {
                    worker.last_used = now;
                }
            }
            Event::Retain(retained) => {
                self.retained
                    .retain(|other| other.target.settings != retained.target.settings);
                self.retained.push(retained);
            }
            Event::Forget(settings) => {
                self.retained
                    .retain(|other| other.target.settings != settings);
            }
            Event::Reset(settings) => {
                self.failed.remove(&settings);
                self.backoff.remove(&settings);
            }
            Event::Ready { worker, plan_bytes } => {
                if let Some(entry) = self.workers.get_mut(&worker) {
                    entry.size.plan_bytes = plan_bytes;
                    entry.last_used = now;
                    let settings = Arc::clone(&entry.target.settings);
                    self.retained
                        .retain(|other| other.pinned || other.target.settings != settings);
                    self.backoff.remove(&settings);
                }
                self.set_state(worker, WorkerState::Ready);
            }
            Event::Unhealthy(worker) => self.set_state(worker, WorkerState::Unhealthy),
            Event::Healthy(worker) => self.set_state(worker, WorkerState::Ready),
            Event::Exited { worker, next } => self.exited(worker, next, actions),
            Event::Stop(worker) => self.stop_by_user(worker, actions),
            Event::Dismiss(settings) => self.dismiss(&settings, actions),
            Event::SetBudget(bytes) => self.config.budget_bytes = bytes,
            Event::MemoryPressure => {
                if let Some(worker) = self.next_evicted(now) {
                    self.stop(worker, StopReason::MemoryPressure, actions);
                }
            }
            Event::Shutdown => {
                self.closing = true;
                self.reject_where(|_| true, &Rejection::ShuttingDown, actions);
            }
            Event::Tick => {}
        }
    }

    /// The worker that [`Event::MemoryPressure`] stops.
    pub fn next_evicted(&self, now: Time) -> Option<WorkerId> {
        self.evictable(None, now).first().copied()
    }

    /// Adds a running worker of an earlier gateway. If its program is of another version, it is stopped as soon as it is idle.
    pub fn adopt(
        &mut self,
        target: Target,
        size: CacheSize,
        outdated: bool,
        now: Time,
    ) -> WorkerId {
        let id = self.insert(target, size, now);
        self.set_state(id, WorkerState::Ready);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.outdated = outdated;
        }
        id
    }

    /// The workers whose process exists.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers.iter().map(|(id, worker)| (*id, worker))
    }

    /// A worker whose process exists.
    pub fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    /// Number of waiting requests.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Plans of all workers whose process exists.
    pub fn used_bytes(&self) -> u64 {
        self.workers
            .values()
            .map(|worker| worker.size.plan_bytes)
            .sum()
    }

    /// The limit of [`Self::used_bytes`].
    pub fn budget_bytes(&self) -> u64 {
        self.config.budget_bytes
    }

    /// Whether a worker with these settings is kept when idle, whatever else needs its memory.
    pub fn is_pinned(&self, settings: &LoadSettings) -> bool {
        self.retained
            .iter()
            .any(|retained| retained.pinned && *retained.target.settings == *settings)
    }

    /// Whether a worker with these settings is to be in memory: a request waits for it, or it is kept.
    pub fn is_needed(&self, settings: &LoadSettings) -> bool {
        let is_waited_for = || {
            self.queue
                .values()
                .any(|waiter| **waiter.settings() == *settings)
        };
        self.retained
            .iter()
            .any(|retained| *retained.target.settings == *settings)
            || is_waited_for()
    }

    /// When [`Event::Tick`] is due if no event is applied before; `applied` is the time of the last one.
    pub fn next_wakeup(&self, applied: Time) -> Option<Time> {
        let waits = self.queue.values().flat_map(|waiter| {
            let lacks_worker = self.worker_of(waiter.settings()).is_none();
            let drain =
                lacks_worker.then_some(waiter.since.saturating_add(self.config.drain_after));
            let deadline = self.deadline(waiter);
            deadline.into_iter().chain(drain)
        });
        let expiries = self
            .workers
            .values()
            .filter(|worker| !self.is_pinned(&worker.target.settings))
            .filter_map(Worker::expires_at);
        waits
            .chain(expiries)
            .chain(self.backoff.values().copied())
            .filter(|time| *time > applied)
            .min()
    }

    /// The worker with these settings; there is at most one.
    fn worker_of(&self, settings: &LoadSettings) -> Option<(WorkerId, &Worker)> {
        self.workers()
            .find(|(_, worker)| *worker.target.settings == *settings)
    }

    fn insert(&mut self, target: Target, size: CacheSize, now: Time) -> WorkerId {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        let worker = Worker {
            target,
            size,
            state: WorkerState::Starting,
            outdated: false,
            leases: BTreeSet::new(),
            last_used: now,
            draining_for: None,
            turns: BTreeMap::new(),
        };
        self.workers.insert(id, worker);
        id
    }

    /// Changes the state, unless the worker is stopping: only its exit follows.
    fn set_state(&mut self, id: WorkerId, state: WorkerState) {
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.state != WorkerState::Stopping
        {
            worker.state = state;
        }
    }

    fn stop(&mut self, id: WorkerId, reason: StopReason, actions: &mut Vec<Action>) {
        self.set_state(id, WorkerState::Stopping);
        actions.push(Action::Stop { worker: id, reason });
    }

    fn stop_by_user(&mut self, id: WorkerId, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get(&id) else {
            return;
        };
        let settings = Arc::clone(&worker.target.settings);
        let stopping = worker.state == WorkerState::Stopping;
        self.dismiss(&settings, actions);
        if !stopping {
            self.stop(id, StopReason::Requested, actions);
        }
    }

    /// Forgets that requests and users want this target.
    fn dismiss(&mut self, settings: &Arc<LoadSettings>, actions: &mut Vec<Action>) {
        self.retained
            .retain(|retained| retained.target.settings != *settings);
        self.reject_where(
            |waiter| waiter.settings() == settings,
            &Rejection::Stopped,
            actions,
        );
    }

    fn exited(&mut self, id: WorkerId, next: AfterExit, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.remove(&id) else {
            return;
        };
        let settings = worker.target.settings;
        match next {
            AfterExit::Gone => {}
            AfterExit::RetryAt(time) => {
                self.backoff.insert(settings, time);
            }
            AfterExit::Failed(failure) => {
                let rejection = Rejection::WorkerFailed(failure.clone());
                self.reject_where(|waiter| *waiter.settings() == settings, &rejection, actions);
                self.backoff.remove(&settings);
                self.failed.insert(settings, failure);
            }
        }
    }

    /// Stops idle workers whose TTL has expired.
    fn stop_expired(&mut self, now: Time, actions: &mut Vec<Action>) {
        let expired: Vec<WorkerId> = self
            .workers()
            .filter(|(_, worker)| {
                worker.is_expired(now) && !self.is_pinned(&worker.target.settings)
            })
            .map(|(id, _)| id)
            .collect();
        for worker in expired {
            self.stop(worker, StopReason::Expired, actions);
        }
    }

    /// Stops idle workers of another version.
    fn stop_outdated(&mut self, actions: &mut Vec<Action>) {
        let outdated: Vec<WorkerId> = self
            .workers()
            .filter(|(_, worker)| {
                worker.outdated && worker.leases.is_empty() && worker.state == WorkerState::Ready
            })
            .map(|(id, _)| id)
            .collect();
        for worker in outdated {
            self.stop(worker, StopReason::Outdated, actions);
        }
    }
}

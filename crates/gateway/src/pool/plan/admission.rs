//! Memory for a worker that is to be started: free, by eviction, by draining busy workers, or not at all.

use super::{
    Action, Arrival, Event, Holder, PoolState, Rejection, StopReason, Time, WorkerId, WorkerState,
};
use crate::settings::{CacheSize, MemoryDemand, Target};

/// How a worker's memory is found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Admission {
    /// It is free.
    Start(CacheSize),
    /// It is free when these workers have exited.
    Evict(Vec<WorkerId>),
    /// It is free when the stopping workers have exited.
    AwaitExits,
    /// It is held by busy workers.
    Busy,
}

/// What a request would get, as returned by [`PoolState::dry_run`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A ready worker has capacity.
    Ready {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker is started at once.
    Start {
        /// Size of its cache, and its memory plan.
        size: CacheSize,
    },
    /// A worker is started after idle ones have been evicted.
    Evict {
        /// The workers to evict.
        workers: Vec<Holder>,
        /// Size of the cache, and the memory plan.
        size: CacheSize,
    },
    /// The request waits: for a worker that is starting or busy, or for memory of these workers.
    Wait {
        /// The workers that have to become ready or idle, or to exit.
        holders: Vec<Holder>,
    },
    /// The request is rejected.
    Reject(Rejection),
}

impl PoolState {
    /// What would happen if this request arrived now. The state does not change.
    pub fn dry_run(&self, arrival: Arrival, now: Time) -> Verdict {
        let mut copy = self.clone();
        let request = arrival.request;
        let demand = arrival.demand.clone();
        let settings = arrival.target.settings.clone();
        let actions = copy.apply(Event::Acquire(arrival), now);
        let mut evicted = Vec::new();
        for action in actions {
            match action {
                Action::Grant {
                    request: id,
                    worker,
                } if id == request => {
                    return Verdict::Ready { worker };
                }
                Action::Reject {
                    request: id,
                    rejection,
                } if id == request => return Verdict::Reject(rejection),
                Action::Start { target, size, .. } if target.settings == settings => {
                    return Verdict::Start { size };
                }
                Action::Stop {
                    worker,
                    reason: StopReason::Evicted,
                } => evicted.push(worker),
                _ => {}
            }
        }
        let stopping = copy.used_bytes_where(|state| state == WorkerState::Stopping);
        let available = copy.available_bytes(stopping);
        match demand.first_fit(available) {
            Some(size) if !evicted.is_empty() => Verdict::Evict {
                workers: self.holders(|id, _| evicted.contains(&id)),
                size,
            },
            _ => {
                let own = copy.worker_of(&settings).map(|(id, _)| id);
                let holders = copy.holders(|id, worker| match own {
                    Some(own) => id == own,
                    None => !worker.leases.is_empty() || worker.state == WorkerState::Stopping,
                });
                Verdict::Wait { holders }
            }
        }
    }

    /// Starts the workers that waiting requests need, or makes space for the first one that lacks memory.
    pub(super) fn start_for_waiters(&mut self, now: Time, actions: &mut Vec<Action>) {
        let mut blocked: Option<u64> = None;
        let mut reserved = false;
        if !self.closing {
            for number in self.heads(now) {
                let Some(waiter) = self.queue.get(&number) else {
                    continue;
                };
                let target = waiter.arrival.target.clone();
                let demand = waiter.arrival.demand.clone();
                if let Some(rejection) = self.never_fits(&target, &demand) {
                    let settings = target.settings;
                    self.reject_where(|waiter| *waiter.settings() == settings, &rejection, actions);
                    continue;
                }
                let overtakes = blocked.is_none_or(|head| self.may_be_overtaken(head));
                match self.admission(&target, &demand, now) {
                    Admission::Start(size) if overtakes && !reserved => {
                        self.start(target, size, now, actions);
                        self.count_overtaken(number);
                    }
                    Admission::Evict(workers) if blocked.is_none() => {
                        for worker in workers {
                            self.stop(worker, StopReason::Evicted, actions);
                        }
                        blocked = Some(number);
                        reserved = true;
                    }
                    Admission::AwaitExits if blocked.is_none() => {
                        blocked = Some(number);
                        reserved = true;
                    }
                    _ => {
                        blocked.get_or_insert(number);
                    }
                }
            }
        }
        self.drain_for(blocked, now);
    }

    /// Starts retained targets in memory that no request waits for.
    pub(super) fn preload(&mut self, now: Time, actions: &mut Vec<Action>) {
        let needed = self
            .queue
            .values()
            .any(|waiter| self.worker_of(waiter.settings()).is_none());
        if needed || self.closing {
            return;
        }
        for retained in self.retained.clone() {
            let settings = &retained.target.settings;
            let backing_off = self.backoff.get(settings).is_some_and(|time| *time > now);
            if backing_off
                || self.failed.contains_key(settings)
                || self.worker_of(settings).is_some()
            {
                continue;
            }
            if let Some(size) = retained.demand.first_fit(self.available_bytes(0)) {
                self.start(retained.target, size, now, actions);
            }
        }
    }

    /// Evicts idle workers while the plans exceed a budget that was lowered.
    pub(super) fn shrink(&mut self, now: Time, actions: &mut Vec<Action>) {
        for worker in self.evictable(None, now) {
            let staying = self.used_bytes_where(|state| state != WorkerState::Stopping);
            if staying <= self.config.budget_bytes {
                return;
            }
            self.stop(worker, StopReason::Evicted, actions);
        }
    }

    /// Idle workers that may be evicted, in the order of eviction: expired ones, then the least recently used. A worker that
    /// requests wait for is not idle, unless it drains and is ready. `except` is not evicted.
    pub(super) fn evictable(&self, except: Option<&Target>, now: Time) -> Vec<WorkerId> {
        let mut idle: Vec<_> = self
            .workers()
            .filter(|(_, worker)| {
                let settings = &worker.target.settings;
                let awaited = worker.state != WorkerState::Ready
                    && self
                        .queue
                        .values()
                        .any(|other| other.settings() == settings);
                worker.leases.is_empty()
                    && worker.state != WorkerState::Stopping
                    && !awaited
                    && except.is_none_or(|target| target.settings != *settings)
                    && !self.is_pinned(settings)
            })
            .map(|(id, worker)| (!worker.is_expired(now), worker.last_used, id))
            .collect();
        idle.sort_unstable();
        idle.into_iter().map(|(_, _, id)| id).collect()
    }

    fn start(&mut self, target: Target, size: CacheSize, now: Time, actions: &mut Vec<Action>) {
        let worker = self.insert(target.clone(), size, now);
        actions.push(Action::Start {
            worker,
            target,
            size,
        });
    }

    fn admission(&self, target: &Target, demand: &MemoryDemand, now: Time) -> Admission {
        if let Some(size) = demand.first_fit(self.available_bytes(0)) {
            return Admission::Start(size);
        }
        let needed = demand.smallest_bytes();
        let stopping = self.used_bytes_where(|state| state == WorkerState::Stopping);
        if needed <= self.available_bytes(stopping) {
            return Admission::AwaitExits;
        }
        let mut freed = stopping;
        let mut evicted = Vec::new();
        for id in self.evictable(Some(target), now) {
            if needed <= self.available_bytes(freed) {
                break;
            }
            freed += self.plan_bytes(id);
            evicted.push(id);
        }
        if needed > self.available_bytes(freed) {
            return Admission::Busy;
        }
        // A large worker may make the smaller ones before it unnecessary.
        for id in evicted.clone().into_iter().rev() {
            let without = freed - self.plan_bytes(id);
            if needed <= self.available_bytes(without) {
                freed = without;
                evicted.retain(|other| *other != id);
            }
        }
        Admission::Evict(evicted)
    }

    /// Why the target can never be started as long as the budget and the pins stay as they are.
    fn never_fits(&self, target: &Target, demand: &MemoryDemand) -> Option<Rejection> {
        let name = target.name.clone();
        let needed_bytes = demand.smallest_bytes();
        let budget_bytes = self.config.budget_bytes;
        if needed_bytes > budget_bytes {
            return Some(Rejection::DoesNotFit {
                name,
                needed_bytes,
                budget_bytes,
                largest_context: demand.largest_context,
            });
        }
        let holders = self.holders(|_, worker| self.is_pinned(&worker.target.settings));
        let pinned: u64 = holders.iter().map(|holder| holder.plan_bytes).sum();
        (needed_bytes > budget_bytes.saturating_sub(pinned)).then_some(Rejection::Pinned {
            name,
            needed_bytes,
            budget_bytes,
            holders,
        })
    }

    /// Lets workers drain whose memory the request `blocked` lacks, if it has waited long enough; all others accept requests.
    fn drain_for(&mut self, blocked: Option<u64>, now: Time) {
        let head = blocked.and_then(|number| Some((number, self.queue.get(&number)?)));
        let due =
            head.filter(|(_, waiter)| now.saturating_sub(waiter.since) >= self.config.drain_after);
        let due = due.map(|(number, waiter)| (number, waiter.arrival.demand.smallest_bytes()));
        for worker in self.workers.values_mut() {
            if worker.draining_for != due.map(|(number, _)| number) {
                worker.draining_for = None;
            }
        }
        let Some((number, needed)) = due else {
            return;
        };
        let mut candidates: Vec<_> = self
            .workers()
            .filter(|(_, worker)| {
                worker.state != WorkerState::Stopping && !self.is_pinned(&worker.target.settings)
            })
            // Those that drain already continue: their leases only decrease.
            .map(|(id, worker)| (worker.draining_for.is_none(), worker.leases.len(), id))
            .collect();
        candidates.sort_unstable();
        let mut freed = self.used_bytes_where(|state| state == WorkerState::Stopping);
        for (_, _, id) in candidates {
            if needed <= self.available_bytes(freed) {
                break;
            }
            freed += self.plan_bytes(id);
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.draining_for = Some(number);
            }
        }
    }

    fn plan_bytes(&self, id: WorkerId) -> u64 {
        self.worker(id).map_or(0, |worker| worker.size.plan_bytes)
    }

    fn used_bytes_where(&self, selected: impl Fn(WorkerState) -> bool) -> u64 {
        self.workers
            .values()
            .filter(|worker| selected(worker.state))
            .map(|worker| worker.size.plan_bytes)
            .sum()
    }

    /// Bytes of the budget that are free when workers with these bytes have exited.
    fn available_bytes(&self, freed: u64) -> u64 {
        let used = self.used_bytes().saturating_sub(freed);
        self.config.budget_bytes.saturating_sub(used)
    }
}

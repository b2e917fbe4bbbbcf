//! Waiting requests: arrival, the next one of a worker, and rejection.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Action, Arrival, Holder, MAX_OVERTAKEN, PoolState, Rejection, Time, Waiter, Worker, WorkerId,
    WorkerState,
};
use crate::settings::UserId;

impl PoolState {
    pub(super) fn enqueue(&mut self, arrival: Arrival, now: Time, actions: &mut Vec<Action>) {
        let settings = &arrival.target.settings;
        let rejection = if self.closing {
            Some(Rejection::ShuttingDown)
        } else if let Some(failure) = self.failed.get(settings) {
            Some(Rejection::WorkerFailed(failure.clone()))
        } else if self.queue.len() >= self.config.max_waiting && !self.has_capacity(&arrival) {
            Some(Rejection::QueueFull {
                limit: self.config.max_waiting,
            })
        } else {
            None
        };
        if let Some(rejection) = rejection {
            let request = arrival.request;
            actions.push(Action::Reject { request, rejection });
            return;
        }
        let waiter = Waiter {
            arrival,
            since: now,
            overtaken: 0,
        };
        self.sequence += 1;
        self.queue.insert(self.sequence, waiter);
    }

    /// Whether the request gets a lease at once.
    fn has_capacity(&self, arrival: &Arrival) -> bool {
        self.worker_of(&arrival.target.settings)
            .is_some_and(|(_, worker)| {
                worker.state == WorkerState::Ready
                    && worker.draining_for.is_none()
                    && worker.leases.len() < worker.max_leases()
            })
    }

    /// When the request is rejected if it is still waiting. The start of its worker does not count: it ends by itself.
    pub(super) fn deadline(&self, waiter: &Waiter) -> Option<Time> {
        let starting = self
            .worker_of(waiter.settings())
            .is_some_and(|(_, worker)| worker.state == WorkerState::Starting);
        (!starting).then_some(waiter.since.saturating_add(waiter.arrival.queue_timeout))
    }

    pub(super) fn reject_late(&mut self, now: Time, actions: &mut Vec<Action>) {
        let late: Vec<u64> = self
            .queue
            .iter()
            .filter(|(_, waiter)| self.deadline(waiter).is_some_and(|time| time <= now))
            .map(|(number, _)| *number)
            .collect();
        let busy: Vec<Holder> = self.holders(|_, worker| !worker.leases.is_empty());
        for number in late {
            if let Some(waiter) = self.queue.remove(&number) {
                let rejection = Rejection::QueueTimeout {
                    name: waiter.arrival.target.name,
                    waited: now.saturating_sub(waiter.since),
                    holders: busy.clone(),
                };
                actions.push(Action::Reject {
                    request: waiter.arrival.request,
                    rejection,
                });
            }
        }
    }

    pub(super) fn reject_where(
        &mut self,
        selected: impl Fn(&Waiter) -> bool,
        rejection: &Rejection,
        actions: &mut Vec<Action>,
    ) {
        self.queue.retain(|_, waiter| {
            let keep = !selected(waiter);
            if !keep {
                actions.push(Action::Reject {
                    request: waiter.arrival.request,
                    rejection: rejection.clone(),
                });
            }
            keep
        });
    }

    /// Gives leases to waiting requests while their workers have capacity.
    pub(super) fn grant(&mut self, now: Time, actions: &mut Vec<Action>) {
        let ready: Vec<WorkerId> = self
            .workers()
            .filter(|(_, worker)| worker.state == WorkerState::Ready)
            .map(|(id, _)| id)
            .collect();
        for id in ready {
            while let Some(number) = self.next_request(id) {
                self.grant_one(id, number, now, actions);
            }
        }
    }

    fn grant_one(&mut self, id: WorkerId, number: u64, now: Time, actions: &mut Vec<Action>) {
        let Some(waiter) = self.queue.remove(&number) else {
            return;
        };
        let arrival = waiter.arrival;
        for (_, earlier) in self.queue.range_mut(..number) {
            let same_user = earlier.arrival.user == arrival.user;
            if same_user && earlier.arrival.target.settings == arrival.target.settings {
                earlier.overtaken += 1;
            }
        }
        self.sequence += 1;
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.leases.insert(arrival.request);
            worker.target.ttl = arrival.target.ttl;
            worker.last_used = now;
            worker.turns.insert(arrival.user, self.sequence);
            actions.push(Action::Grant {
                request: arrival.request,
                worker: id,
            });
        }
    }

    /// The next request of a worker, if it has capacity: round robin over users, then by class, then in the order of arrival.
    ///
    /// A user's turn is the number of the last grant or, before the first, of the user's oldest request. Every grant to another
    /// user moves that user after those who wait, so no one waits for more than one grant to each of them.
    fn next_request(&self, id: WorkerId) -> Option<u64> {
        let worker = self.workers.get(&id)?;
        if worker.leases.len() >= worker.max_leases() {
            return None;
        }
        let mut oldest: BTreeMap<UserId, u64> = BTreeMap::new();
        let mut next: Option<(u64, u8, u64)> = None;
        for (number, waiter) in &self.queue {
            let drains_before = worker.draining_for.is_some_and(|head| *number > head);
            if *waiter.settings() != worker.target.settings || drains_before {
                continue;
            }
            let user = waiter.arrival.user;
            let first = *oldest.entry(user).or_insert(*number);
            let turn = worker.turns.get(&user).copied().unwrap_or(first);
            let key = (turn, waiter.rank(), *number);
            next = Some(next.map_or(key, |other| other.min(key)));
        }
        next.map(|(_, _, number)| number)
    }

    /// The first request of each target that has no worker and may be started now: promoted ones and higher classes first.
    pub(super) fn heads(&self, now: Time) -> Vec<u64> {
        let mut heads: Vec<(u8, u64)> = Vec::new();
        let mut seen = Vec::new();
        let mut waiting: Vec<(u8, u64, &Waiter)> = self
            .queue
            .iter()
            .map(|(number, waiter)| (waiter.rank(), *number, waiter))
            .collect();
        waiting.sort_unstable_by_key(|(rank, number, _)| (*rank, *number));
        for (rank, number, waiter) in waiting {
            let settings = waiter.settings();
            if seen.contains(&settings) {
                continue;
            }
            seen.push(settings);
            let backing_off = self.backoff.get(settings).is_some_and(|time| *time > now);
            if !backing_off && self.worker_of(settings).is_none() {
                heads.push((rank, number));
            }
        }
        heads.into_iter().map(|(_, number)| number).collect()
    }

    /// Counts that a later request's worker was started before the workers of these.
    pub(super) fn count_overtaken(&mut self, started: u64) {
        let with_worker: Vec<_> = self
            .workers
            .values()
            .map(|worker| Arc::clone(&worker.target.settings))
            .collect();
        for (_, waiter) in self.queue.range_mut(..started) {
            if !with_worker.contains(waiter.settings()) {
                waiter.overtaken += 1;
            }
        }
    }

    /// Whether later requests may be started before this one.
    pub(super) fn may_be_overtaken(&self, number: u64) -> bool {
        self.queue
            .get(&number)
            .is_none_or(|waiter| waiter.overtaken < MAX_OVERTAKEN)
    }

    pub(super) fn holders(&self, selected: impl Fn(WorkerId, &Worker) -> bool) -> Vec<Holder> {
        self.workers()
            .filter(|(id, worker)| selected(*id, worker))
            .map(|(id, worker)| Holder {
                worker: id,
                name: worker.target.name.clone(),
                plan_bytes: worker.size.plan_bytes,
                leases: worker.leases.len(),
            })
            .collect()
    }
}

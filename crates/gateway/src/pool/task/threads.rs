//! Compute threads: the cores are shared by the workers that have running requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::Owner;
use crate::pool::plan::WorkerId;

/// How long changes are collected. Requests come and go faster than it pays to share the cores anew.
const DELAY: Duration = Duration::from_millis(200);

/// Shares of `cores` for `active` workers: as equal as possible, the larger ones first, and at least 1.
pub(super) fn threads_for(active: usize, cores: usize) -> Vec<usize> {
    let workers = active.max(1);
    let (share, rest) = (cores / workers, cores % workers);
    (0..active)
        .map(|index| (share + usize::from(index < rest)).max(1))
        .collect()
}

/// The number of compute threads of each worker.
#[derive(Debug)]
pub(super) struct Threads {
    cores: usize,
    /// The workers with running requests.
    active: BTreeSet<WorkerId>,
    /// Numbers of the workers; that of an adopted worker, and after a failed change, is not known.
    current: BTreeMap<WorkerId, usize>,
    /// Workers whose number is being changed.
    changing: BTreeSet<WorkerId>,
    /// Whether a worker needs another number as soon as its change is done.
    deferred: bool,
    /// When the cores are to be shared anew.
    due: Option<Instant>,
}

impl Threads {
    pub(super) fn new(cores: usize) -> Self {
        Self {
            cores,
            active: BTreeSet::new(),
            current: BTreeMap::new(),
            changing: BTreeSet::new(),
            deferred: false,
            due: None,
        }
    }

    /// When [`Owner::share_threads`] is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A worker was started, with a number of its own or one thread for each core.
    pub(super) fn started(&mut self, worker: WorkerId, own: Option<u16>) {
        let threads = own.map_or(self.cores, usize::from);
        self.current.insert(worker, threads);
    }

    /// A worker has exited.
    pub(super) fn exited(&mut self, worker: WorkerId) {
        self.set_active(worker, false);
        self.current.remove(&worker);
        self.changing.remove(&worker);
    }

    /// A worker has running requests, or none.
    pub(super) fn set_active(&mut self, worker: WorkerId, is_active: bool) {
        let changed = if is_active {
            self.active.insert(worker)
        } else {
            self.active.remove(&worker)
        };
        if changed {
            self.schedule();
        }
    }

    /// A change is done: the number of the worker, if it is known.
    pub(super) fn changed(&mut self, worker: WorkerId, threads: Option<usize>) {
        if !self.changing.remove(&worker) {
            return;
        }
        match threads {
            Some(threads) => self.current.insert(worker, threads),
            None => self.current.remove(&worker),
        };
        if std::mem::take(&mut self.deferred) {
            self.schedule();
        }
    }

    fn schedule(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + DELAY);
    }

    /// The active workers that need another number. `most` is the limit of a worker, if it has one.
    fn changes(&mut self, most: impl Fn(WorkerId) -> Option<usize>) -> Vec<(WorkerId, usize)> {
        self.due = None;
        let shares = threads_for(self.active.len(), self.cores);
        let mut changes = Vec::new();
        for (worker, share) in self.active.iter().copied().zip(shares) {
            let threads = most(worker).map_or(share, |most| share.min(most.max(1)));
            if self.changing.contains(&worker) {
                self.deferred = true;
            } else if self.current.get(&worker) != Some(&threads) {
                self.changing.insert(worker);
                changes.push((worker, threads));
            }
        }
        changes
    }
}

impl Owner {
    /// Shares the cores among the workers with running requests. Only those whose number changes get a request.
    pub(super) fn share_threads(&mut self) {
        let workers = &self.workers;
        let changes = self.threads.changes(|worker| {
            let running = workers.get(&worker)?;
            running.record.settings.threads.map(usize::from)
        });
        for (worker, threads) in changes {
            if let Some(running) = self.workers.get(&worker) {
                running.handle.set_threads(threads);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(number: u64) -> WorkerId {
        WorkerId::new(number)
    }

    /// What is to be changed, with the number of each worker.
    fn changes(threads: &mut Threads) -> Vec<(WorkerId, usize)> {
        threads.changes(|_| None)
    }

    #[test]
    fn cores_are_shared_without_rest_and_every_worker_has_a_thread() {
        assert_eq!(threads_for(0, 8), [0; 0]);
        assert_eq!(threads_for(1, 8), [8]);
        assert_eq!(threads_for(3, 8), [3, 3, 2]);
        assert_eq!(threads_for(3, 2), [1, 1, 1]);
        assert_eq!(threads_for(2, 0), [1, 1]);
        for active in 1..=16 {
            for cores in active..=32 {
                assert_eq!(threads_for(active, cores).iter().sum::<usize>(), cores);
            }
        }
    }

    #[tokio::test]
    async fn only_active_workers_whose_number_changes_are_changed() {
        let mut threads = Threads::new(4);
        for number in 1..=3 {
            threads.started(worker(number), None);
        }
        assert_eq!(threads.due(), None);
        threads.set_active(worker(1), true);
        assert!(threads.due().is_some());
        assert!(changes(&mut threads).is_empty());
        assert_eq!(threads.due(), None);

        threads.set_active(worker(2), true);
        assert_eq!(changes(&mut threads), [(worker(1), 2), (worker(2), 2)]);
        threads.changed(worker(1), Some(2));
        threads.changed(worker(2), Some(2));
        threads.set_active(worker(2), false);
        threads.set_active(worker(3), true);
        assert_eq!(changes(&mut threads), [(worker(3), 2)]);
        threads.changed(worker(3), Some(2));

        threads.exited(worker(3));
        assert!(threads.due().is_some());
        assert_eq!(changes(&mut threads), [(worker(1), 4)]);
    }

    #[tokio::test]
    async fn worker_with_a_number_of_its_own_never_gets_more() {
        let mut threads = Threads::new(8);
        threads.started(worker(1), Some(2));
        threads.set_active(worker(1), true);
        assert!(threads.changes(|_| Some(2)).is_empty());
    }

    #[tokio::test]
    async fn adopted_worker_and_failed_changes_are_changed_at_the_next_occasion() {
        let mut threads = Threads::new(4);
        threads.set_active(worker(1), true);
        assert_eq!(changes(&mut threads), [(worker(1), 4)]);
        threads.changed(worker(1), None);
        assert_eq!(threads.due(), None);
        threads.set_active(worker(2), true);
        assert_eq!(changes(&mut threads), [(worker(1), 2), (worker(2), 2)]);
    }

    #[tokio::test]
    async fn change_during_another_one_is_deferred() {
        let mut threads = Threads::new(4);
        threads.started(worker(1), None);
        threads.started(worker(2), None);
        threads.set_active(worker(1), true);
        threads.set_active(worker(2), true);
        assert_eq!(changes(&mut threads), [(worker(1), 2), (worker(2), 2)]);
        threads.set_active(worker(2), false);
        assert!(changes(&mut threads).is_empty());
        threads.changed(worker(1), Some(2));
        assert!(threads.due().is_some());
        assert_eq!(changes(&mut threads), [(worker(1), 4)]);
    }
}

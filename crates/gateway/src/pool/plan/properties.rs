//! Random arrivals, exits, crashes and budgets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::tests::{demand, target};
use super::*;
use crate::settings::{Class, Ttl, UserId};

const DRAIN_AFTER: Duration = Duration::from_secs(30);

/// Plans of the models, each with up to two sizes. The last one never fits.
const MODELS: [&[u64]; 6] = [&[6, 3], &[5], &[10, 7], &[2], &[9], &[40]];

#[derive(Debug, Clone)]
enum Operation {
    Acquire {
        model: usize,
        user: u128,
        class: Class,
        ttl: Option<u64>,
    },
    Release(usize),
    Cancel(usize),
    Ready(usize),
    Exit(usize),
    Crash {
        worker: usize,
        retry_s: u64,
    },
    Fail(usize),
    Unhealthy(usize),
    Healthy(usize),
    Stop(usize),
    Reset(usize),
    Retain {
        model: usize,
        pinned: bool,
    },
    Forget(usize),
    SetBudget(u64),
    MemoryPressure,
    Wait(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let class = prop_oneof![
        Just(Class::Interactive),
        Just(Class::Normal),
        Just(Class::Batch)
    ];
    let acquire = (
        0..MODELS.len(),
        0..3_u128,
        class,
        prop::option::of(0..60_u64),
    );
    let index = || 0..100_usize;
    let model = || 0..MODELS.len();
    prop_oneof![
        12 => acquire.prop_map(|(model, user, class, ttl)| Operation::Acquire { model, user, class, ttl }),
        10 => index().prop_map(Operation::Release),
        2 => index().prop_map(Operation::Cancel),
        8 => index().prop_map(Operation::Ready),
        8 => index().prop_map(Operation::Exit),
        2 => (index(), 0..10_u64).prop_map(|(worker, retry_s)| Operation::Crash { worker, retry_s }),
        1 => index().prop_map(Operation::Fail),
        1 => index().prop_map(Operation::Unhealthy),
        2 => index().prop_map(Operation::Healthy),
        1 => index().prop_map(Operation::Stop),
        1 => model().prop_map(Operation::Reset),
        1 => (model(), any::<bool>()).prop_map(|(model, pinned)| Operation::Retain { model, pinned }),
        2 => model().prop_map(Operation::Forget),
        1 => (5..20_u64).prop_map(Operation::SetBudget),
        1 => Just(Operation::MemoryPressure),
        3 => (0..40_u64).prop_map(Operation::Wait),
    ]
}

fn name(model: usize) -> String {
    format!("model-{model}")
}

/// The pool and what it must have caused outside.
struct World {
    state: PoolState,
    now: Time,
    requests: u64,
    waiting: BTreeSet<RequestId>,
    leases: BTreeMap<RequestId, WorkerId>,
    starting: BTreeSet<WorkerId>,
    stopping: BTreeSet<WorkerId>,
    running: BTreeSet<WorkerId>,
}

fn pick<T: Copy>(mut items: impl ExactSizeIterator<Item = T>, index: usize) -> Option<T> {
    let count = items.len();
    if count == 0 {
        return None;
    }
    items.nth(index % count)
}

impl World {
    fn new() -> Self {
        let state = PoolState::new(PlanConfig {
            budget_bytes: 12,
            max_waiting: 1000,
            drain_after: DRAIN_AFTER,
        });
        Self {
            state,
            now: Time::ZERO,
            requests: 0,
            waiting: BTreeSet::new(),
            leases: BTreeMap::new(),
            starting: BTreeSet::new(),
            stopping: BTreeSet::new(),
            running: BTreeSet::new(),
        }
    }

    fn leased(&self, worker: WorkerId) -> usize {
        self.leases
            .values()
            .filter(|other| **other == worker)
            .count()
    }

    /// Applies an event and checks each action.
    fn apply(&mut self, event: Event) {
        let actions = self.state.apply(event, self.now);
        let starts = actions
            .iter()
            .any(|action| matches!(action, Action::Start { .. }));
        for action in actions {
            match action {
                Action::Start { worker, target, .. } => {
                    assert!(self.starting.insert(worker));
                    let equal = self
                        .state
                        .workers()
                        .filter(|(_, other)| other.target.settings == target.settings);
                    assert_eq!(equal.count(), 1, "equal starts are merged");
                }
                Action::Stop { worker, reason } => {
                    assert!(self.starting.remove(&worker) || self.running.remove(&worker));
                    assert!(self.stopping.insert(worker));
                    if reason != StopReason::Requested {
                        assert_eq!(
                            self.leased(worker),
                            0,
                            "a leased worker was stopped: {reason:?}"
                        );
                        let settings = &self.state.worker(worker).unwrap().target.settings;
                        assert!(
                            !self.state.is_pinned(settings),
                            "a pinned worker was stopped"
                        );
                    }
                }
                Action::Grant { request, worker } => {
                    assert!(self.waiting.remove(&request), "granted twice");
                    assert!(
                        self.running.contains(&worker),
                        "granted before the worker is ready"
                    );
                    self.leases.insert(request, worker);
                    let most = self.state.worker(worker).unwrap().max_leases();
                    assert!(self.leased(worker) <= most);
                }
                Action::Reject { request, .. } => {
                    assert!(self.waiting.remove(&request), "rejected twice");
                }
            }
        }
        if starts {
            assert!(
                self.state.used_bytes() <= self.state.budget_bytes(),
                "over budget"
            );
        }
        assert_eq!(self.state.waiting(), self.waiting.len());
    }

    fn exited(&mut self, worker: WorkerId, next: AfterExit) {
        self.starting.remove(&worker);
        self.running.remove(&worker);
        self.stopping.remove(&worker);
        self.apply(Event::Exited { worker, next });
        let ended: Vec<RequestId> = self
            .leases
            .iter()
            .filter(|(_, other)| **other == worker)
            .map(|(request, _)| *request)
            .collect();
        for request in ended {
            self.release(request);
        }
    }

    fn release(&mut self, request: RequestId) {
        if let Some(worker) = self.leases.remove(&request) {
            self.apply(Event::Release { worker, request });
        }
    }

    fn ready(&mut self, worker: WorkerId) {
        self.starting.remove(&worker);
        self.running.insert(worker);
        let plan_bytes = self.state.worker(worker).unwrap().size.plan_bytes;
        self.apply(Event::Ready { worker, plan_bytes });
    }

    fn retained(model: usize, pinned: bool) -> Retained {
        Retained {
            target: target(&name(model)),
            demand: demand(MODELS[model]),
            pinned,
        }
    }

    fn perform(&mut self, operation: Operation) {
        let live = || {
            self.starting
                .union(&self.running)
                .copied()
                .collect::<Vec<_>>()
        };
        match operation {
            Operation::Acquire {
                model,
                user,
                class,
                ttl,
            } => {
                self.requests += 1;
                let request = RequestId(self.requests);
                let mut target = target(&name(model));
                target.ttl = ttl.map_or(Ttl::Keep, |ttl| Ttl::After(Duration::from_secs(ttl)));
                self.waiting.insert(request);
                self.apply(Event::Acquire(Arrival {
                    request,
                    target,
                    demand: demand(MODELS[model]),
                    user: UserId(Uuid::from_u128(user)),
                    class,
                    queue_timeout: Duration::from_hours(1000),
                }));
            }
            Operation::Release(index) => {
                if let Some(request) = pick(self.leases.keys().copied(), index) {
                    self.release(request);
                }
            }
            Operation::Cancel(index) => {
                if let Some(request) = pick(self.waiting.iter().copied(), index) {
                    self.waiting.remove(&request);
                    self.apply(Event::Cancel(request));
                }
            }
            Operation::Ready(index) => {
                if let Some(worker) = pick(self.starting.iter().copied(), index) {
                    self.ready(worker);
                }
            }
            Operation::Exit(index) => {
                if let Some(worker) = pick(self.stopping.iter().copied(), index) {
                    self.exited(worker, AfterExit::Gone);
                }
            }
            Operation::Crash { worker, retry_s } => {
                if let Some(worker) = pick(live().into_iter(), worker) {
                    let time = self.now + Duration::from_secs(retry_s);
                    self.exited(worker, AfterExit::RetryAt(time));
                }
            }
            Operation::Fail(index) => {
                if let Some(worker) = pick(live().into_iter(), index) {
                    let failure = WorkerFailure {
                        code: "crash_loop".to_owned(),
                        message: "exited".to_owned(),
                        advice: "see the log".to_owned(),
                        permanent: false,
                    };
                    self.exited(worker, AfterExit::Failed(failure));
                }
            }
            Operation::Unhealthy(index) => {
                if let Some(worker) = pick(self.running.iter().copied(), index) {
                    self.running.remove(&worker);
                    // Until it is healthy again it gets no requests.
                    self.starting.insert(worker);
                    self.apply(Event::Unhealthy(worker));
                }
            }
            Operation::Healthy(index) => {
                let unhealthy = self
                    .state
                    .workers()
                    .filter(|(_, worker)| worker.state == WorkerState::Unhealthy);
                let unhealthy: Vec<WorkerId> = unhealthy.map(|(id, _)| id).collect();
                if let Some(worker) = pick(unhealthy.into_iter(), index) {
                    self.starting.remove(&worker);
                    self.running.insert(worker);
                    self.apply(Event::Healthy(worker));
                }
            }
            Operation::Stop(index) => {
                if let Some(worker) = pick(live().into_iter(), index) {
                    self.apply(Event::Stop(worker));
                }
            }
            Operation::Reset(model) => self.apply(Event::Reset(target(&name(model)).settings)),
            Operation::Retain { model, pinned } => {
                self.apply(Event::Retain(Self::retained(model, pinned)));
            }
            Operation::Forget(model) => self.apply(Event::Forget(target(&name(model)).settings)),
            Operation::SetBudget(bytes) => self.apply(Event::SetBudget(bytes)),
            Operation::MemoryPressure => self.apply(Event::MemoryPressure),
            Operation::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.apply(Event::Tick);
            }
        }
    }

    /// Everything that was started gets ready, everything that was stopped exits, and every request ends.
    fn round(&mut self) {
        for worker in self.starting.clone() {
            // An earlier step may have stopped it.
            if self.starting.contains(&worker) {
                self.ready(worker);
            }
        }
        for request in self.leases.keys().copied().collect::<Vec<_>>() {
            self.release(request);
        }
        for worker in self.stopping.clone() {
            self.exited(worker, AfterExit::Gone);
        }
        self.now += DRAIN_AFTER;
        self.apply(Event::Tick);
    }
}

proptest! {
    #[test]
    fn no_start_exceeds_the_budget_no_lease_is_evicted_and_no_request_starves(
        operations in prop::collection::vec(operation(), 1..200)
    ) {
        let mut world = World::new();
        for operation in operations {
            world.perform(operation);
        }
        let rounds = 4 * world.waiting.len() + 10;
        for _ in 0..rounds {
            world.round();
        }
        prop_assert!(world.waiting.is_empty(), "{} requests starve", world.waiting.len());
    }

    #[test]
    fn request_is_served_within_bounded_rounds_while_others_keep_arriving(
        arrivals in prop::collection::vec((0..5_usize, 1..3_u128), 400),
        model in 0..5_usize,
    ) {
        let mut world = World::new();
        let mut arrivals = arrivals.into_iter();
        let acquire = |model, user, class| Operation::Acquire { model, user, class, ttl: None };
        for (model, user) in arrivals.by_ref().take(20) {
            world.perform(acquire(model, user, Class::Interactive));
        }
        world.perform(acquire(model, 0, Class::Batch));
        let request = RequestId(world.requests);
        let mut rounds = 0;
        while world.waiting.contains(&request) {
            rounds += 1;
            prop_assert!(rounds < 120, "the request starves");
            for (model, user) in arrivals.by_ref().take(3) {
                world.perform(acquire(model, user, Class::Interactive));
            }
            world.round();
        }
    }

    #[test]
    fn dry_run_predicts_what_the_request_gets(
        operations in prop::collection::vec(operation(), 1..100),
        model in 0..MODELS.len(),
    ) {
        let mut world = World::new();
        for operation in operations {
            world.perform(operation);
        }
        let request = RequestId(u64::MAX);
        let arrival = Arrival {
            request,
            target: target(&name(model)),
            demand: demand(MODELS[model]),
            user: UserId(Uuid::nil()),
            class: Class::Normal,
            queue_timeout: Duration::from_hours(1000),
        };
        let verdict = world.state.dry_run(arrival.clone(), world.now);
        let actions = world.state.apply(Event::Acquire(arrival), world.now);
        let has = |wanted: &dyn Fn(&Action) -> bool| actions.iter().any(wanted);
        let settings = target(&name(model)).settings;
        let granted = has(&|action| matches!(action, Action::Grant { request: id, .. } if *id == request));
        let rejected = has(&|action| matches!(action, Action::Reject { request: id, .. } if *id == request));
        let started = has(&|action| matches!(action, Action::Start { target, .. } if target.settings == settings));
        match verdict {
            Verdict::Ready { .. } => prop_assert!(granted),
            Verdict::Reject(_) => prop_assert!(rejected),
            Verdict::Start { .. } => prop_assert!(started),
            Verdict::Evict { workers, .. } => {
                for holder in workers {
                    let stops = |action: &Action| matches!(action, Action::Stop { worker, .. } if *worker == holder.worker);
                    prop_assert!(has(&stops));
                }
            }
            Verdict::Wait { .. } => prop_assert!(!granted && !rejected && !started),
        }
    }
}

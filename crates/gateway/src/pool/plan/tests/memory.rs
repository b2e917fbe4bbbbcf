//! Sizes, eviction, TTL, pins, preloads and the budget.

use super::*;

#[test]
fn first_size_that_fits_without_eviction_is_chosen() {
    let mut pool = Fixture::new();
    pool.idle("a", 4);
    let arrival = pool.arrival("b", &[8, 6, 5]);
    let verdict = pool.state.dry_run(arrival.clone(), pool.now);
    let size = demand(&[6]).sizes[0];
    assert_eq!(verdict, Verdict::Start { size });
    let actions = pool.apply(Event::Acquire(arrival));
    assert!(matches!(actions[..], [Action::Start { size: chosen, .. }] if chosen == size));
}

#[test]
fn eviction_frees_only_what_is_needed_and_starts_after_the_exits() {
    let mut pool = Fixture::new();
    let small = pool.idle("small", 2);
    let large = pool.idle("large", 6);
    let arrival = pool.arrival("b", &[9, 7, 6]);
    // The small one was used least recently, but evicting it is not enough, and unnecessary with the large one.
    let Verdict::Evict { workers, size } = pool.state.dry_run(arrival.clone(), pool.now) else {
        panic!("needs an eviction");
    };
    assert_eq!(workers.len(), 1);
    assert_eq!((workers[0].worker, workers[0].plan_bytes), (large, 6));
    // More than the smallest size, because it fits in the memory that is freed.
    assert_eq!(size.plan_bytes, 7);
    let actions = pool.apply(Event::Acquire(arrival));
    assert_eq!(stopped(&actions), [large]);
    assert_eq!(started(&actions), None);
    assert_eq!(pool.apply(Event::Tick), [], "nothing is stopped twice");
    let actions = pool.exited(large);
    assert!(started(&actions).is_some());
    assert!(pool.state.worker(small).is_some());
    assert_eq!(pool.state.used_bytes(), 9);
}

#[test]
fn expired_workers_are_evicted_before_those_used_less_recently() {
    let mut pool = Fixture::new();
    let older = pool.idle("older", 5);
    let mut arrival = pool.arrival("short", &[5]);
    arrival.target.ttl = Ttl::After(Duration::from_secs(10));
    let request = arrival.request;
    let worker = started(&pool.apply(Event::Acquire(arrival))).unwrap();
    pool.ready(worker, 5);
    pool.apply(Event::Release { worker, request });
    assert_eq!(
        pool.state.next_wakeup(pool.now),
        Some(pool.now + Duration::from_secs(10))
    );
    pool.now += Duration::from_secs(10);
    let (_, actions) = pool.acquire("new", 5);
    assert_eq!(stopped(&actions), [worker]);
    assert!(started(&pool.exited(worker)).is_some());
    assert!(pool.state.worker(older).is_some());
}

#[test]
fn idle_worker_is_stopped_when_its_ttl_expires_unless_it_is_pinned_or_kept() {
    let mut pool = Fixture::new();
    let worker = pool.idle("a", 4);
    assert_eq!(pool.after(Duration::from_mins(29)), []);
    assert_eq!(stopped(&pool.after(Duration::from_mins(1))), [worker]);
    pool.exited(worker);

    pool.idle("pinned", 4);
    pool.apply(Event::Retain(Retained {
        target: target("pinned"),
        demand: demand(&[4]),
        pinned: true,
    }));
    assert_eq!(pool.after(Duration::from_hours(1)), []);
}

#[test]
fn model_larger_than_the_budget_is_rejected_with_the_numbers() {
    let mut pool = Fixture::new();
    let (_, actions) = pool.acquire("huge", 11);
    let rejection = rejection(&actions);
    assert_eq!(
        rejection,
        &Rejection::DoesNotFit {
            name: "huge".to_owned(),
            needed_bytes: 11,
            budget_bytes: 10,
            largest_context: 7,
        }
    );
    assert!(rejection.to_string().contains("7 tokens would fit"));
}

#[test]
fn model_that_does_not_fit_next_to_pinned_ones_is_rejected_with_their_names() {
    let mut pool = Fixture::new();
    pool.idle("pinned", 5);
    pool.apply(Event::Retain(Retained {
        target: target("pinned"),
        demand: demand(&[5]),
        pinned: true,
    }));
    let (_, actions) = pool.acquire("b", 6);
    let text = rejection(&actions).to_string();
    assert!(text.contains("pinned models hold 5"), "{text}");
    assert!(text.contains("unpin one"), "{text}");
}

#[test]
fn preloads_start_in_order_but_never_in_memory_that_a_request_needs() {
    let mut pool = Fixture::new();
    let (busy, running) = pool.running("busy", 6);
    let (waiting, _) = pool.acquire("b", 6);
    let preload = |name: &str| {
        Event::Retain(Retained {
            target: target(name),
            demand: demand(&[2]),
            pinned: false,
        })
    };
    assert_eq!(
        pool.apply(preload("p")),
        [],
        "4 bytes are free, but a request waits"
    );
    let worker = started(&pool.apply(Event::Cancel(waiting))).unwrap();
    assert_ne!(worker, busy);
    pool.ready(worker, 2);
    // It is evicted like any other and not started again.
    let request = running;
    pool.apply(Event::Release {
        worker: busy,
        request,
    });
    let (_, actions) = pool.acquire("large", 10);
    assert_eq!(stopped(&actions), [busy, worker]);
    pool.exited(worker);
    let large = started(&pool.exited(busy)).unwrap();
    pool.apply(Event::Stop(large));
    assert_eq!(pool.exited(large), []);
}

#[test]
fn lowered_budget_evicts_idle_workers_only() {
    let mut pool = Fixture::new();
    let idle = pool.idle("idle", 4);
    pool.running("busy", 6);
    assert_eq!(stopped(&pool.apply(Event::SetBudget(5))), [idle]);
    assert_eq!(pool.exited(idle), []);
    assert_eq!(pool.state.used_bytes(), 6);
}

#[test]
fn worker_of_another_version_is_stopped_when_it_is_idle() {
    let mut pool = Fixture::new();
    let size = demand(&[4]).sizes[0];
    let worker = pool.state.adopt(target("a"), size, true, pool.now);
    let (first, actions) = pool.acquire("a", 4);
    let request = first;
    assert_eq!(actions, [Action::Grant { request, worker }]);
    let (second, _) = pool.acquire("a", 4);
    assert_eq!(pool.apply(Event::Release { worker, request }), []);
    let request = second;
    let actions = pool.apply(Event::Release { worker, request });
    let reason = StopReason::Outdated;
    assert_eq!(actions, [Action::Stop { worker, reason }]);
    assert_eq!(started(&pool.exited(worker)), None, "no request needs it");
}

#[test]
fn pinned_worker_of_another_version_is_started_again() {
    let mut pool = Fixture::new();
    let size = demand(&[4]).sizes[0];
    let worker = pool.state.adopt(target("a"), size, true, pool.now);
    let actions = pool.apply(Event::Retain(Retained {
        target: target("a"),
        demand: demand(&[4]),
        pinned: true,
    }));
    assert_eq!(stopped(&actions), [worker]);
    assert!(started(&pool.exited(worker)).is_some());
}

//! Leases, turns, waiting and rejection.

use super::*;

#[test]
fn equal_settings_share_one_start_and_one_worker() {
    let mut pool = Fixture::new();
    let (first, actions) = pool.acquire("a", 4);
    let worker = started(&actions).unwrap();
    let (second, actions) = pool.acquire("a", 4);
    assert_eq!(actions, []);
    assert_eq!(granted(&pool.ready(worker, 4)), [first, second]);
    // Two requests per sequence.
    let (third, actions) = pool.acquire("a", 4);
    assert_eq!(actions, []);
    let request = first;
    assert_eq!(
        granted(&pool.apply(Event::Release { worker, request })),
        [third]
    );
}

#[test]
fn busy_worker_is_not_evicted_and_the_wait_ends_with_the_holders_named() {
    let mut pool = Fixture::new();
    let (worker, _) = pool.running("busy", 6);
    let (request, actions) = pool.acquire("b", 6);
    assert_eq!(actions, []);
    let actions = pool.after(Duration::from_mins(5));
    let holders = vec![Holder {
        worker,
        name: "busy".to_owned(),
        plan_bytes: 6,
        leases: 1,
    }];
    let rejection = Rejection::QueueTimeout {
        name: "b".to_owned(),
        waited: Duration::from_mins(5),
        holders,
    };
    assert!(rejection.to_string().contains("in use by busy"));
    assert_eq!(actions, [Action::Reject { request, rejection }]);
}

#[test]
fn loading_time_does_not_count_as_waiting() {
    let mut pool = Fixture::new();
    let (request, actions) = pool.acquire("slow", 6);
    let worker = started(&actions).unwrap();
    assert_eq!(pool.after(Duration::from_mins(20)), []);
    assert_eq!(granted(&pool.ready(worker, 6)), [request]);
}

#[test]
fn busy_worker_drains_for_a_request_that_lacks_memory() {
    let mut pool = Fixture::new();
    let (worker, mut running) = pool.running("busy", 8);
    let (waiting, _) = pool.acquire("b", 8);
    // Requests for the busy worker keep arriving before the previous one ends.
    let mut last = RequestId(0);
    for _ in 0..20 {
        pool.now += Duration::from_secs(5);
        let (next, actions) = pool.acquire("busy", 8);
        if granted(&actions) != [next] {
            last = next;
            break;
        }
        let request = std::mem::replace(&mut running, next);
        pool.apply(Event::Release { worker, request });
    }
    assert_ne!(
        last,
        RequestId(0),
        "the worker accepts later requests endlessly"
    );
    let request = running;
    assert_eq!(
        stopped(&pool.apply(Event::Release { worker, request })),
        [worker]
    );
    let other = started(&pool.exited(worker)).unwrap();
    assert_eq!(granted(&pool.ready(other, 8)), [waiting]);
}

#[test]
fn drained_worker_accepts_requests_again_when_the_waiting_request_is_cancelled() {
    let mut pool = Fixture::new();
    pool.running("busy", 8);
    let (waiting, _) = pool.acquire("b", 8);
    pool.after(DRAIN_AFTER);
    let (later, actions) = pool.acquire("busy", 8);
    assert_eq!(actions, []);
    assert_eq!(granted(&pool.apply(Event::Cancel(waiting))), [later]);
}

#[test]
fn small_model_overtakes_a_waiting_large_one_a_bounded_number_of_times() {
    let mut pool = Fixture::new();
    pool.running("busy", 4);
    let (_, actions) = pool.acquire("large", 7);
    assert_eq!(actions, []);
    let mut overtaken = 0;
    for _ in 0..2 * MAX_OVERTAKEN {
        let (request, actions) = pool.acquire("small", 1);
        let Some(worker) = started(&actions) else {
            break;
        };
        overtaken += 1;
        pool.ready(worker, 1);
        pool.apply(Event::Release { worker, request });
        pool.apply(Event::Stop(worker));
        pool.exited(worker);
    }
    assert_eq!(overtaken, MAX_OVERTAKEN);
}

#[test]
fn users_take_turns_and_classes_order_the_requests_of_one_user() {
    let mut pool = Fixture::new();
    let (first, actions) = pool.acquire_as("a", 1, Class::Batch);
    let worker = started(&actions).unwrap();
    let batch: Vec<RequestId> = (0..3)
        .map(|_| pool.acquire_as("a", 1, Class::Batch).0)
        .collect();
    let (own_chat, _) = pool.acquire_as("a", 1, Class::Interactive);
    let (chat, _) = pool.acquire_as("a", 2, Class::Interactive);
    // Of user 1 the chat is first; then it is the turn of user 2.
    assert_eq!(granted(&pool.ready(worker, 4)), [own_chat, chat]);
    let mut order = Vec::new();
    for request in [own_chat, chat, first] {
        order.extend(granted(&pool.apply(Event::Release { worker, request })));
    }
    assert_eq!(order, [first, batch[0], batch[1]]);
}

#[test]
fn batch_request_is_not_overtaken_endlessly_by_chats_of_its_user() {
    let mut pool = Fixture::new();
    let (_, actions) = pool.acquire_as("a", 1, Class::Interactive);
    let worker = started(&actions).unwrap();
    let (mut running, _) = pool.acquire_as("a", 1, Class::Interactive);
    pool.ready(worker, 4);
    let (batch, _) = pool.acquire_as("a", 1, Class::Batch);
    for round in 0..=MAX_OVERTAKEN {
        pool.acquire_as("a", 1, Class::Interactive);
        let request = running;
        let next = granted(&pool.apply(Event::Release { worker, request }))[0];
        assert_eq!(next == batch, round == MAX_OVERTAKEN, "round {round}");
        running = next;
    }
}

#[test]
fn crashed_worker_is_started_again_after_the_backoff_if_a_request_waits() {
    let mut pool = Fixture::new();
    let (_, actions) = pool.acquire("a", 4);
    let worker = started(&actions).unwrap();
    let time = pool.now + Duration::from_secs(2);
    let next = AfterExit::RetryAt(time);
    assert_eq!(pool.apply(Event::Exited { worker, next }), []);
    assert_eq!(pool.state.next_wakeup(pool.now), Some(time));
    assert!(started(&pool.after(Duration::from_secs(2))).is_some());
}

#[test]
fn failed_target_rejects_requests_until_it_is_reset() {
    let mut pool = Fixture::new();
    let (_, actions) = pool.acquire("a", 4);
    let worker = started(&actions).unwrap();
    let failure = WorkerFailure {
        code: "bad_checkpoint".to_owned(),
        message: "model.norm.weight is missing".to_owned(),
        advice: "verify the download".to_owned(),
        permanent: true,
    };
    let next = AfterExit::Failed(failure.clone());
    let expected = Rejection::WorkerFailed(failure);
    assert_eq!(
        rejection(&pool.apply(Event::Exited { worker, next })),
        &expected
    );
    assert_eq!(rejection(&pool.acquire("a", 4).1), &expected);
    pool.apply(Event::Reset(target("a").settings));
    assert!(started(&pool.acquire("a", 4).1).is_some());
}

#[test]
fn stop_by_a_user_ends_a_busy_worker_and_rejects_its_queue() {
    let mut pool = Fixture::new();
    let (worker, _) = pool.running("a", 4);
    pool.acquire("a", 4);
    pool.acquire("a", 4);
    let actions = pool.apply(Event::Stop(worker));
    assert_eq!(rejection(&actions), &Rejection::Stopped);
    assert_eq!(stopped(&actions), [worker]);
    assert_eq!(
        pool.state.used_bytes(),
        4,
        "its memory counts until it has exited"
    );
}

#[test]
fn queue_is_bounded_but_free_capacity_is_used() {
    let mut pool = Fixture::new();
    pool.running("ready", 4);
    pool.running("busy", 6);
    for _ in 0..8 {
        pool.acquire("waiting", 6);
    }
    assert_eq!(
        rejection(&pool.acquire("waiting", 6).1),
        &Rejection::QueueFull { limit: 8 }
    );
    let (request, actions) = pool.acquire("ready", 4);
    assert_eq!(granted(&actions), [request]);
}

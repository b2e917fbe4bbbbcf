use super::*;

fn visits(pool: &ThreadPool, count: usize) -> Vec<usize> {
    let visits: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
    pool.parallel_for(count, &|index| {
        visits[index].fetch_add(1, Ordering::Relaxed);
    });
    visits.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn parallel_for_visits_every_index_once() {
    for threads in 1..5 {
        let pool = ThreadPool::new(threads);
        for count in [0, 1, 2, 7, 100, 1000] {
            assert_eq!(visits(&pool, count), vec![1; count]);
        }
    }
}

#[test]
fn parallel_for_wakes_sleeping_workers() {
    let pool = ThreadPool::new(3);
    for round in 0..2_000 {
        if round % 500 == 0 {
            thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(visits(&pool, 5), [1; 5]);
    }
}

#[test]
fn parallel_for_finishes_with_concurrent_and_nested_callers() {
    let pool = ThreadPool::new(3);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.parallel_for(4, &|_| assert_eq!(visits(&pool, 3), [1; 3]));
                }
            });
        }
    });
}

#[test]
fn parallel_phases_start_after_the_previous_phase_is_done() {
    for threads in 1..5 {
        let pool = ThreadPool::new(threads);
        for counts in [vec![1, 5], vec![0, 3, 4], vec![7, 0, 2, 9], vec![3, 0]] {
            let done: Vec<_> = counts.iter().map(|_| AtomicUsize::new(0)).collect();
            pool.parallel_phases(&counts, &|phase, index| {
                assert!(index < counts[phase]);
                for before in 0..phase {
                    assert_eq!(done[before].load(Ordering::SeqCst), counts[before]);
                }
                done[phase].fetch_add(1, Ordering::SeqCst);
            });
            let done: Vec<_> = done.into_iter().map(AtomicUsize::into_inner).collect();
            assert_eq!(done, counts);
        }
    }
}

#[test]
fn parallel_phases_skip_phases_after_a_panic() {
    let pool = ThreadPool::new(3);
    for _ in 0..50 {
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.parallel_phases(&[4, 100], &|phase, index| {
                assert!(phase == 0 && index != 2, "phase {phase}");
            });
        }));
        let message = *result.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, "phase 0");
        assert_eq!(visits(&pool, 10), [1; 10]);
    }
}

#[test]
fn parallel_for_resumes_a_panic_and_the_pool_survives() {
    let pool = ThreadPool::new(3);
    for _ in 0..20 {
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.parallel_for(50, &|index| assert!(index != 20, "index 20"));
        }));
        assert!(result.is_err());
        assert_eq!(visits(&pool, 10), [1; 10]);
    }
}

#[test]
fn parallel_for_does_not_drop_panic_payloads_during_the_loop() {
    struct Payload(Arc<AtomicUsize>);
    impl Drop for Payload {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let pool = ThreadPool::new(2);
    let (drops, both) = (Arc::new(AtomicUsize::new(0)), std::sync::Barrier::new(2));
    let result = catch_unwind(AssertUnwindSafe(|| {
        pool.parallel_for(2, &|_| {
            both.wait();
            std::panic::panic_any(Payload(drops.clone()));
        });
    }));
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    drop(result);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    assert_eq!(visits(&pool, 10), [1; 10]);
}

#[test]
fn background_tasks_run_exactly_once() {
    for threads in [1, 2, 4] {
        let pool = ThreadPool::new(threads);
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..500 {
            let done = done.clone();
            pool.spawn_background(Box::new(move || {
                done.fetch_add(1, Ordering::Relaxed);
            }));
            assert!(visits(&pool, 8).iter().all(|&count| count == 1));
        }
        drop(pool);
        assert_eq!(done.load(Ordering::Relaxed), 500);
    }
}

#[test]
fn background_task_wakes_a_sleeping_worker() {
    let pool = ThreadPool::new(2);
    while !pool.workers[0].asleep.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    pool.spawn_background(Box::new(move || {
        sender.send(thread::current().id()).unwrap();
    }));
    assert_ne!(receiver.recv().unwrap(), thread::current().id());
}

#[test]
fn background_panic_keeps_the_worker_alive() {
    let pool = ThreadPool::new(2);
    let (sender, receiver) = std::sync::mpsc::channel();
    pool.spawn_background(Box::new(|| panic!("background")));
    pool.spawn_background(Box::new(move || {
        sender.send(()).unwrap();
    }));
    receiver.recv().unwrap();
    assert!(visits(&pool, 100).iter().all(|&count| count == 1));
}

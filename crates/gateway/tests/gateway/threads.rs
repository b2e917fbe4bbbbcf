//! Workers with running requests share the cores.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mlxm_gateway::{Lease, ShutdownMode};

use crate::support::Setup;

/// Numbers of threads that a worker was requested to use, once `accept` accepts them.
async fn numbers(setup: &Setup, lease: &Lease, accept: impl Fn(&[u64]) -> bool) -> Vec<u64> {
    let authorization = format!("Bearer {}", lease.key);
    let wait = async {
        loop {
            let numbers: Vec<u64> = {
                let requests = setup.backend.state.threads.lock().unwrap();
                let own = requests.iter().filter(|(key, _)| *key == authorization);
                own.map(|(_, body)| number(body)).collect()
            };
            if accept(&numbers) {
                return numbers;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait)
        .await
        .unwrap()
}

fn number(body: &str) -> u64 {
    let digits = body
        .strip_prefix("{\"threads\":")
        .and_then(|rest| rest.strip_suffix('}'));
    digits.unwrap().parse().unwrap()
}

fn both_fit() -> Setup {
    let mut setup = Setup::ready();
    setup.budget_bytes = 8;
    setup
}

#[tokio::test]
async fn cores_are_shared_while_two_workers_compute() {
    let setup = both_fit();
    let pool = setup.pool().await;
    let first = setup.acquire(&pool, "a").await.unwrap();
    let second = setup.acquire(&pool, "b").await.unwrap();
    numbers(&setup, &first, |numbers| numbers == [2]).await;
    numbers(&setup, &second, |numbers| numbers == [1]).await;
    // A further request changes nothing: the same workers are active.
    let again = setup.acquire(&pool, "a").await.unwrap();
    let other = second.key.clone();
    drop(second);
    numbers(&setup, &first, |numbers| numbers == [2, 3]).await;
    drop((first, again));
    let requests = setup.backend.state.threads.lock().unwrap().clone();
    let to_other = requests
        .iter()
        .filter(|(key, _)| key.ends_with(other.as_str()));
    assert_eq!(to_other.count(), 1, "{requests:?}");
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn change_that_failed_is_retried_when_the_active_workers_change() {
    let setup = both_fit();
    let rejects = &setup.backend.state.rejects_threads;
    rejects.store(true, Ordering::SeqCst);
    let pool = setup.pool().await;
    let first = setup.acquire(&pool, "a").await.unwrap();
    let second = setup.acquire(&pool, "b").await.unwrap();
    numbers(&setup, &first, |numbers| numbers == [2]).await;
    numbers(&setup, &second, |numbers| numbers == [1]).await;
    rejects.store(false, Ordering::SeqCst);
    drop(second);
    numbers(&setup, &first, |numbers| numbers.ends_with(&[3])).await;
    let second = setup.acquire(&pool, "b").await.unwrap();
    numbers(&setup, &second, |numbers| numbers == [1, 1]).await;
    drop((first, second));
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

//! Acquiring, sharing, evicting and stopping.

use std::time::Duration;

use mlxm_gateway::pool::plan::Rejection;
use mlxm_gateway::{AcquireError, ServerState, ShutdownMode, Ttl, WorkerKeys};

use crate::support::{SECRET, SHOW, Setup, ready};

#[tokio::test]
async fn equal_requests_share_a_worker_whose_key_is_derived() {
    let setup = Setup::ready();
    let pool = setup.pool().await;
    let (first, second) = tokio::join!(setup.acquire(&pool, "a"), setup.acquire(&pool, "a"));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.server, second.server);
    assert_eq!(first.port, setup.backend.port);
    assert_eq!(
        first.key,
        WorkerKeys::new(SECRET).unwrap().derive(first.server)
    );
    let status = pool.servers().await.unwrap();
    assert_eq!((status.used_bytes, status.servers.len()), (4, 1));
    assert_eq!(status.servers[0].running, 2);
    assert_eq!(status.servers[0].record.state, ServerState::Ready);
    drop((first, second));
    assert_eq!(pool.servers().await.unwrap().servers[0].running, 0);
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
    assert!(setup.store.records().is_empty());
    assert!(matches!(
        setup.acquire(&pool, "a").await,
        Err(AcquireError::Closed)
    ));
}

#[tokio::test]
async fn idle_worker_is_evicted_for_another_model_but_a_busy_one_is_not() {
    let setup = Setup::ready();
    let pool = setup.pool().await;
    let busy = setup.acquire(&pool, "a").await.unwrap();
    let mut request = setup.request("b");
    request.queue_timeout = Duration::from_millis(50);
    let error = pool.acquire(request).await.unwrap_err();
    let AcquireError::Rejected(Rejection::QueueTimeout { holders, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(holders[0].name, "a");
    let waiting = setup.acquire(&pool, "b");
    let first = busy.server;
    drop(busy);
    let other = waiting.await.unwrap();
    assert_ne!(other.server, first);
    let status = pool.servers().await.unwrap();
    assert_eq!(
        status.servers.len(),
        1,
        "the memory is free only after the exit"
    );
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn memory_pressure_stops_one_idle_worker_and_no_busy_one() {
    let mut setup = Setup::ready();
    setup.budget_bytes = 8;
    let pool = setup.pool().await;
    let busy = setup.acquire(&pool, "a").await.unwrap();
    assert_eq!(pool.memory_pressure().await.unwrap(), None);
    let idle = setup.acquire(&pool, "b").await.unwrap().server;
    let stopped = pool.memory_pressure().await.unwrap().unwrap();
    assert_eq!((stopped.id, &*stopped.name), (idle, "b"));
    assert_eq!(stopped.state, ServerState::Stopping);
    assert!(stopped.detail.unwrap().contains("short of memory"));
    assert_eq!(pool.memory_pressure().await.unwrap(), None);
    let servers = pool.servers().await.unwrap().servers;
    let busy_server = servers
        .iter()
        .find(|server| server.record.id == busy.server);
    assert_eq!(busy_server.unwrap().record.state, ServerState::Ready);
    drop(busy);
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn cancelled_request_leaves_the_queue() {
    let setup = Setup::ready();
    let pool = setup.pool().await;
    let _busy = setup.acquire(&pool, "a").await.unwrap();
    let waiting = setup.acquire(&pool, "b");
    assert!(
        tokio::time::timeout(Duration::from_millis(500), waiting)
            .await
            .is_err()
    );
    assert_eq!(pool.servers().await.unwrap().waiting, 0);
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn worker_with_a_ttl_of_zero_exits_after_its_last_request() {
    let setup = Setup::ready();
    let pool = setup.pool().await;
    let mut request = setup.request("a");
    request.target.ttl = Ttl::After(Duration::ZERO);
    drop(pool.acquire(request).await.unwrap());
    while !pool.servers().await.unwrap().servers.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn worker_inherits_only_listed_variables() {
    let setup = Setup::new(SHOW, &format!("env > $FOLDER/env\n{}", ready()));
    let pool = setup.pool().await;
    let lease = setup.acquire(&pool, "a").await.unwrap();
    let environment = std::fs::read_to_string(setup.path().join("env")).unwrap();
    let has = |start: &str| environment.lines().any(|line| line.starts_with(start));
    assert!(has(&format!("MLXM_API_KEY={}", lease.key)));
    assert!(has("PATH="));
    // Set by Cargo for every test.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!has("CARGO_"), "{environment}");
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

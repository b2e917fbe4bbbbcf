//! Workers of an earlier gateway.

use std::sync::atomic::Ordering;

use mlxm_gateway::{ServerState, ServerStore as _, ShutdownMode, WorkerKeys};

use crate::support::{SECRET, Setup};

#[tokio::test]
async fn next_gateway_adopts_a_worker_that_responds_to_its_key() {
    let setup = Setup::ready();
    let pool = setup.pool().await;
    let lease = setup.acquire(&pool, "a").await.unwrap();
    let server = lease.server;
    pool.shutdown(ShutdownMode::KeepWorkers).await.unwrap();
    assert_eq!(setup.store.records()[0].state, ServerState::Orphaned);

    let pool = setup.pool().await;
    let key = WorkerKeys::new(SECRET).unwrap().derive(server);
    let owner = (
        format!("Bearer {key}"),
        format!("{{\"pid\":{}}}", std::process::id()),
    );
    assert_eq!(*setup.backend.state.owners.lock().unwrap(), [owner]);
    let status = pool.servers().await.unwrap();
    assert_eq!(status.used_bytes, 4);
    let adopted = setup.acquire(&pool, "a").await.unwrap();
    assert_eq!(adopted.server, server);
    let process = status.servers[0].record.process.clone().unwrap();
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
    assert!(!process.is_alive());
    assert!(setup.store.records().is_empty());
}

#[tokio::test]
async fn idle_worker_of_another_version_is_replaced() {
    let setup = Setup::ready();
    let pool = setup.pool().await;
    let old = setup.acquire(&pool, "a").await.unwrap().server;
    pool.shutdown(ShutdownMode::KeepWorkers).await.unwrap();
    let mut record = setup.store.records()[0].clone();
    let process = record.process.clone().unwrap();
    record.version = Some("0.0.1".to_owned());
    setup.store.save(&record).await.unwrap();

    let pool = setup.pool().await;
    let lease = setup.acquire(&pool, "a").await.unwrap();
    assert_ne!(lease.server, old);
    assert!(!process.is_alive());
    let server = pool.servers().await.unwrap().servers.remove(0);
    let version = server.record.version.as_deref();
    assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
    drop(lease);
    // The new one stays.
    assert_eq!(pool.servers().await.unwrap().servers.len(), 1);
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn worker_that_does_not_accept_its_key_is_stopped() {
    let setup = Setup::ready();
    let pool = setup.pool().await;
    setup.acquire(&pool, "a").await.unwrap();
    pool.shutdown(ShutdownMode::KeepWorkers).await.unwrap();
    let process = setup.store.records()[0].process.clone().unwrap();
    assert!(process.is_alive());

    setup
        .backend
        .state
        .rejects_owner
        .store(true, Ordering::SeqCst);
    let pool = setup.pool().await;
    assert!(!process.is_alive());
    assert!(pool.servers().await.unwrap().servers.is_empty());
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
    assert!(setup.store.records().is_empty());
}

#[tokio::test]
async fn process_of_another_program_with_the_same_id_is_not_touched() {
    let setup = Setup::ready();
    let pool = setup.pool().await;
    setup.acquire(&pool, "a").await.unwrap();
    pool.shutdown(ShutdownMode::KeepWorkers).await.unwrap();
    let mut record = setup.store.records()[0].clone();
    let process = record.process.clone().unwrap();
    if let Some(process) = &mut record.process {
        process.program = "/bin/other".into();
    }
    setup.store.save(&record).await.unwrap();

    let pool = setup.pool().await;
    assert!(process.is_alive());
    assert!(pool.servers().await.unwrap().servers.is_empty());
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
    assert!(setup.backend.state.owners.lock().unwrap().is_empty());
    // Only this test knows it now.
    let kill = format!("kill -9 -{}", process.pid);
    let status = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert!(status.unwrap().success());
}

//! Starts that fail, crashes, hangs and their causes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mlxm_gateway::pool::plan::Rejection;
use mlxm_gateway::{AcquireError, ExitCause, ServerEvent, ServerState, ShutdownMode};

use crate::support::{SHOW, Setup, ready, wait_for};

fn exit(event: &ServerEvent) -> Option<(ExitCause, Vec<String>)> {
    match event {
        ServerEvent::Exited {
            cause, log_tail, ..
        } => Some((cause.clone(), log_tail.clone())),
        _ => None,
    }
}

/// Runs `first` in the first process, and then a worker that gets ready.
fn then_ready(first: &str) -> String {
    let ready = ready();
    format!("if mkdir $FOLDER/started 2>/dev/null; then\n{first}\nelse\n{ready}\nfi")
}

#[tokio::test]
async fn invalid_checkpoint_is_reported_and_not_started_again() {
    let failed = r#"echo run >> $FOLDER/runs
echo '{"event":"failed","code":"bad_checkpoint","message":"no tensor x","advice":"verify it"}'
exit 1"#;
    let setup = Setup::new(SHOW, failed);
    let pool = setup.pool().await;
    for _ in 0..2 {
        let error = setup.acquire(&pool, "a").await.unwrap_err();
        assert_eq!(error.to_string(), "bad_checkpoint: no tensor x; verify it");
    }
    let runs = || std::fs::read_to_string(setup.path().join("runs")).unwrap();
    assert_eq!(runs().lines().count(), 1);
    pool.reset(&setup.target("a")).unwrap();
    setup.acquire(&pool, "a").await.unwrap_err();
    assert_eq!(runs().lines().count(), 2);
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn worker_that_failed_is_listed_until_it_is_dismissed_or_started_again() {
    let failed = r#"echo run >> $FOLDER/runs; echo 'the last line' >&2
echo '{"event":"failed","code":"bad_checkpoint","message":"no tensor x","advice":"verify it"}'
exit 1"#;
    let setup = Setup::new(SHOW, failed);
    let pool = setup.pool().await;
    setup.acquire(&pool, "a").await.unwrap_err();
    let status = pool.servers().await.unwrap();
    assert!(status.servers.is_empty());
    assert_eq!((status.used_bytes, status.failed.len()), (0, 1));
    let server = &status.failed[0];
    assert_eq!(server.record.state, ServerState::Failed);
    assert_eq!(server.record.process, None);
    let failure = server.failure.clone().unwrap();
    assert_eq!(failure.code, "bad_checkpoint");
    assert_eq!(failure.advice, "verify it");
    assert_eq!(failure.log_tail, ["the last line"]);

    assert!(pool.stop(server.record.id).await.unwrap());
    assert!(pool.servers().await.unwrap().failed.is_empty());
    assert!(!pool.stop(server.record.id).await.unwrap());
    // That it is not listed any more does not start it again.
    setup.acquire(&pool, "a").await.unwrap_err();
    let runs = std::fs::read_to_string(setup.path().join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 1);
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn crashed_worker_is_listed_with_its_last_use_until_the_next_request() {
    let setup = Setup::ready();
    let pool = setup.pool().await;
    let mut events = pool.events();
    drop(setup.acquire(&pool, "a").await.unwrap());
    let server = pool.servers().await.unwrap().servers.remove(0);
    let last_used_at_ms = server.last_used_at_ms.unwrap();
    assert!(last_used_at_ms >= server.record.started_at_ms);
    let kill = format!("kill -9 -{}", server.record.process.unwrap().pid);
    let status = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert!(status.unwrap().success());
    wait_for(&mut events, exit).await;

    let crashed = pool.servers().await.unwrap().failed.remove(0);
    assert_eq!(crashed.record.id, server.record.id);
    assert_eq!(crashed.record.state, ServerState::Failed);
    assert_eq!(crashed.last_used_at_ms, Some(last_used_at_ms));
    assert_eq!(crashed.failure.unwrap().code, "killed_externally");
    let lease = setup.acquire(&pool, "a").await.unwrap();
    assert_ne!(lease.server, server.record.id);
    assert!(pool.servers().await.unwrap().failed.is_empty());
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn crashed_worker_is_started_again_for_a_waiting_request() {
    let setup = Setup::new(SHOW, &then_ready("echo 'the last line' >&2; exit 3"));
    let pool = setup.pool().await;
    let mut events = pool.events();
    let lease = setup.acquire(&pool, "a").await.unwrap();
    let (cause, log_tail) = wait_for(&mut events, exit).await;
    let (code, signal) = (Some(3), None);
    assert_eq!(cause, ExitCause::Crashed { code, signal });
    assert_eq!(log_tail, ["the last line"]);
    let status = pool.servers().await.unwrap();
    assert_eq!(status.servers[0].record.id, lease.server);
    assert_eq!(status.servers[0].record.restarts, 1);
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn pinned_worker_is_started_again_although_the_pool_is_asked_for_its_state_all_the_time() {
    let setup = Setup::new(SHOW, &then_ready("exit 3"));
    let pool = setup.pool().await;
    let mut events = pool.events();
    pool.retain(setup.target("a"), true).await.unwrap();
    wait_for(&mut events, exit).await;
    let is_ready = wait_for(&mut events, |event| match event {
        ServerEvent::Changed(record) => (record.state == ServerState::Ready).then_some(()),
        _ => None,
    });
    let ask = async {
        loop {
            pool.servers().await.unwrap();
        }
    };
    tokio::select! {
        () = is_ready => {}
        () = ask => {}
    }
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn kill_by_another_process_is_distinguished_from_a_crash() {
    let setup = Setup::new(SHOW, &then_ready("kill -9 $$"));
    let pool = setup.pool().await;
    let mut events = pool.events();
    let acquired = setup.acquire(&pool, "a");
    let (lease, (cause, _)) = tokio::join!(acquired, wait_for(&mut events, exit));
    assert_eq!(cause, ExitCause::KilledExternally);
    lease.unwrap();
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn start_without_progress_is_killed() {
    let mut setup = Setup::new(SHOW, &then_ready("sleep 60 & wait"));
    setup.timings.start_timeout = Duration::from_millis(500);
    let pool = setup.pool().await;
    let mut events = pool.events();
    let acquired = setup.acquire(&pool, "a");
    let (lease, (cause, _)) = tokio::join!(acquired, wait_for(&mut events, exit));
    assert_eq!(cause, ExitCause::StartTimeout);
    lease.unwrap();
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn worker_whose_requests_make_no_progress_is_killed() {
    let mut setup = Setup::ready();
    setup.timings.min_hang = Duration::from_millis(300);
    let pool = setup.pool().await;
    let mut events = pool.events();
    let lease = setup.acquire(&pool, "a").await.unwrap();
    setup.backend.state.running.store(1, Ordering::SeqCst);
    let (cause, _) = wait_for(&mut events, exit).await;
    assert_eq!(cause, ExitCause::Hung);
    setup.backend.state.running.store(0, Ordering::SeqCst);
    let other = setup.acquire(&pool, "a").await.unwrap();
    assert_ne!(other.server, lease.server);
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn unresponsive_worker_is_unhealthy_and_killed_if_it_does_not_recover() {
    let mut setup = Setup::ready();
    setup.timings.health_interval = Duration::from_millis(100);
    let pool = setup.pool().await;
    let mut events = pool.events();
    setup.acquire(&pool, "a").await.unwrap();
    let in_state = |state: ServerState| {
        move |event: &ServerEvent| match event {
            ServerEvent::Changed(record) if record.state == state => Some(()),
            _ => None,
        }
    };
    wait_for(&mut events, in_state(ServerState::Ready)).await;
    setup.backend.state.silent.store(true, Ordering::SeqCst);
    wait_for(&mut events, in_state(ServerState::Unhealthy)).await;
    setup.backend.state.silent.store(false, Ordering::SeqCst);
    wait_for(&mut events, in_state(ServerState::Ready)).await;
    setup.backend.state.silent.store(true, Ordering::SeqCst);
    assert_eq!(wait_for(&mut events, exit).await.0, ExitCause::Unresponsive);
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn worker_that_ignores_sigterm_is_killed() {
    let stubborn = format!(
        "trap '' TERM\n{}",
        ready().replace("sleep 60 & wait", "while :; do sleep 1; done")
    );
    let mut setup = Setup::new(SHOW, &stubborn);
    setup.timings.stop_timeout = Duration::from_millis(300);
    let pool = setup.pool().await;
    let mut events = pool.events();
    let lease = setup.acquire(&pool, "a").await.unwrap();
    assert!(pool.stop(lease.server).await.unwrap());
    assert_eq!(wait_for(&mut events, exit).await.0, ExitCause::Requested);
    assert!(!pool.stop(lease.server).await.unwrap());
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

#[tokio::test]
async fn missing_program_is_a_failure_with_its_name() {
    let setup = Setup::ready();
    let pool = setup.pool().await;
    // The estimate is known, then the program is removed.
    drop(setup.acquire(&pool, "a").await.unwrap());
    let server = pool.servers().await.unwrap().servers[0].record.id;
    std::fs::remove_file(setup.path().join("program")).unwrap();
    let mut events = pool.events();
    pool.stop(server).await.unwrap();
    wait_for(&mut events, exit).await;
    let error = setup.acquire(&pool, "a").await.unwrap_err();
    let AcquireError::Rejected(Rejection::WorkerFailed(failure)) = &error else {
        panic!("{error}");
    };
    assert_eq!(failure.code, "spawn_failed");
    pool.shutdown(ShutdownMode::StopWorkers).await.unwrap();
}

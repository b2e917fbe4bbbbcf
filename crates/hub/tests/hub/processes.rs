//! Several processes that share a cache.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::{
    EventRecorder, REPO, TestEnv, WEIGHTS, assert_complete, config, pull, request,
};
use mlxm_hub::{CancellationToken, Hub, HubError, NoProgress, ProgressHandler, PullEvent};
use mlxm_testhub::Fault;

const SIZE: usize = 3_000_000;
const CHILD_ENDPOINT: &str = "MLXM_TEST_CHILD_ENDPOINT";
const CHILD_HOME: &str = "MLXM_TEST_CHILD_HOME";

/// Runs in the child processes: this test binary, started with these variables.
#[test]
fn child() {
    let (Ok(endpoint), Ok(home)) = (std::env::var(CHILD_ENDPOINT), std::env::var(CHILD_HOME))
    else {
        return;
    };
    let hub = mlxm_hub::blocking::Hub::new(config(&endpoint, Path::new(&home))).unwrap();
    let pulled = hub
        .pull(&request(), &NoProgress, &CancellationToken::new())
        .unwrap();
    assert_complete(&pulled.snapshot, SIZE);
}

fn spawn(env: &TestEnv) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child"])
        .env(CHILD_ENDPOINT, env.server.endpoint())
        .env(CHILD_HOME, env.home.path())
        .spawn()
        .unwrap()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn partial_bytes(env: &TestEnv) -> u64 {
    env.partial()
        .and_then(|path| fs::metadata(path).ok())
        .map_or(0, |metadata| metadata.len())
}

#[tokio::test]
async fn killed_pull_is_resumed_by_the_next_process() {
    let env = TestEnv::with_model(SIZE);
    env.server
        .inject(REPO, WEIGHTS, Fault::StallAfter(2_500_000));
    let mut child = spawn(&env);
    wait_until("a partial file", || partial_bytes(&env) >= 1_000_000);
    child.kill().unwrap();
    child.wait().unwrap();

    let kept = partial_bytes(&env);
    assert!(env.hub().resolve("tiny").is_err());
    let local = env.hub().local().unwrap();
    assert!(local.len() == 1 && !local[0].complete && local[0].size_bytes >= kept);

    let recorder = EventRecorder::default();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_complete(&pulled.snapshot, SIZE);
    assert_eq!(recorder.starts(WEIGHTS), [kept]);
    assert!(pulled.bytes_downloaded <= SIZE as u64 - kept + 100);
    assert_eq!(
        env.server.content_requests(WEIGHTS).last().unwrap().range,
        Some(format!("bytes={kept}-"))
    );
}

#[tokio::test]
async fn concurrent_processes_download_a_model_once() {
    let env = TestEnv::with_model(SIZE);
    env.server.throttle(100_000, Duration::from_millis(15));
    let mut children = [spawn(&env), spawn(&env), spawn(&env)];
    let statuses: Vec<ExitStatus> = children
        .iter_mut()
        .map(|child| child.wait().unwrap())
        .collect();
    assert!(statuses.iter().all(ExitStatus::success), "{statuses:?}");
    assert_eq!(env.server.content_requests(WEIGHTS).len(), 1);
    assert_complete(&env.hub().resolve("tiny").unwrap().path, SIZE);
}

#[tokio::test]
async fn second_pull_waits_for_the_first_and_reuses_its_file() {
    let env = TestEnv::with_model(SIZE);
    env.server.throttle(100_000, Duration::from_millis(40));
    let mut child = spawn(&env);
    wait_until("the other pull", || {
        !env.server.content_requests(WEIGHTS).is_empty()
    });
    assert!(matches!(
        env.hub().remove(REPO, None),
        Err(HubError::Busy { .. })
    ));

    let recorder = EventRecorder::default();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_complete(&pulled.snapshot, SIZE);
    assert!(recorder.starts(WEIGHTS).is_empty());
    let events = recorder.events();
    let of_weights: Vec<_> = events
        .iter()
        .filter(|event| matches!(event, PullEvent::Waiting { file } | PullEvent::Reused { file, .. } if file == WEIGHTS))
        .collect();
    assert!(
        matches!(
            of_weights.as_slice(),
            [PullEvent::Waiting { .. }, PullEvent::Reused { .. }]
        ),
        "{of_weights:?}"
    );
    assert_eq!(env.server.content_requests(WEIGHTS).len(), 1);
}

#[tokio::test]
async fn waiting_pull_takes_over_after_the_first_is_killed() {
    let env = TestEnv::with_model(SIZE);
    env.server
        .inject(REPO, WEIGHTS, Fault::StallAfter(2_200_000));
    let child = spawn(&env);
    wait_until("a partial file", || partial_bytes(&env) >= 1_000_000);
    // Kill the child as soon as this pull waits for it.
    let child = Mutex::new(child);
    let recorder = EventRecorder::default();
    let kill_when_waiting = |event: &PullEvent| {
        recorder.on_event(event);
        if matches!(event, PullEvent::Waiting { .. }) {
            child.lock().unwrap().kill().unwrap();
        }
    };
    let pulled = env
        .hub()
        .pull(&request(), &kill_when_waiting, &CancellationToken::new())
        .await;
    assert_complete(&pulled.unwrap().snapshot, SIZE);
    assert!(recorder.starts(WEIGHTS)[0] >= 1_000_000);
    child.into_inner().unwrap().wait().unwrap();
}

#[test]
fn token_from_environment_is_not_used_implicitly() {
    // The client library would read it from the environment.
    let env = TestEnv::with_model(SIZE);
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child"])
        .env(CHILD_ENDPOINT, env.server.endpoint())
        .env(CHILD_HOME, env.home.path())
        .env("HF_TOKEN", "secret")
        .status()
        .unwrap();
    assert!(status.success());
    let received = env.server.received();
    assert!(!received.is_empty());
    assert!(
        received
            .iter()
            .all(|request| request.authorization.is_none())
    );
}

#[tokio::test]
async fn waiting_pull_can_be_cancelled() {
    let env = TestEnv::with_model(SIZE);
    env.server
        .inject(REPO, WEIGHTS, Fault::StallAfter(1_500_000));
    let mut child = spawn(&env);
    wait_until("a partial file", || partial_bytes(&env) >= 1_000_000);
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let on_waiting = move |event: &PullEvent| {
        if matches!(event, PullEvent::Waiting { .. }) {
            stop.cancel();
        }
    };
    let error = env
        .hub()
        .pull(&request(), &on_waiting, &cancel)
        .await
        .unwrap_err();
    assert!(matches!(error, HubError::Cancelled), "{error:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn concurrent_pulls_in_one_process_download_once() {
    let env = TestEnv::with_model(SIZE);
    env.server.throttle(100_000, Duration::from_millis(10));
    let (first, second) = (
        Hub::new(env.config()).unwrap(),
        Hub::new(env.config()).unwrap(),
    );
    let (first, second) = tokio::join!(pull(&first), pull(&second));
    assert_eq!(first.unwrap().snapshot, second.unwrap().snapshot);
    assert_eq!(env.server.content_requests(WEIGHTS).len(), 1);
}

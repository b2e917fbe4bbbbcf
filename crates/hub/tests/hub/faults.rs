//! Pulling a model over a bad network.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{
    EventRecorder, REPO, TestEnv, WEIGHTS, assert_complete, files_below, pull, request, weights,
};
use mlxm_hub::{CancellationToken, Hub, HubError, PullEvent};
use mlxm_testhub::{Fault, TestRepo};

const SIZE: usize = 3_000_000;

#[tokio::test]
async fn a_lost_connection_continues_where_it_stopped() {
    let env = TestEnv::with_model(SIZE);
    env.server
        .inject(REPO, WEIGHTS, Fault::DropAfter(1_000_000));
    env.server.inject(REPO, WEIGHTS, Fault::DropAfter(700_000));
    let recorder = EventRecorder::default();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_complete(&pulled.snapshot, SIZE);
    assert_eq!(recorder.starts(WEIGHTS), [0, 1_000_000, 1_700_000]);
    let ranges: Vec<_> = env
        .server
        .content_requests(WEIGHTS)
        .into_iter()
        .map(|request| request.range)
        .collect();
    assert_eq!(
        ranges,
        [
            None,
            Some("bytes=1000000-".to_owned()),
            Some("bytes=1700000-".to_owned())
        ]
    );
    assert_eq!(recorder.retries().len(), 2);
}

#[tokio::test]
async fn small_files_continue_too_when_their_etag_is_the_same() {
    let env = TestEnv::new();
    let tokenizer = weights(300_000);
    env.server
        .add(crate::support::model(REPO, 10).file("tokenizer.json", tokenizer.clone()));
    env.server
        .inject(REPO, "tokenizer.json", Fault::DropAfter(100_000));
    let recorder = EventRecorder::default();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(recorder.starts("tokenizer.json"), [0, 100_000]);
    assert!(fs::read(pulled.snapshot.join("tokenizer.json")).unwrap() == tokenizer);
}

#[tokio::test]
async fn a_line_that_keeps_dropping_still_finishes() {
    let env = TestEnv::with_model(SIZE);
    // More drops than attempts are allowed without progress.
    for _ in 0..14 {
        env.server.inject(REPO, WEIGHTS, Fault::DropAfter(200_000));
    }
    let mut config = env.config();
    config.retry.max_attempts = 3;
    let pulled = pull(&Hub::new(config).unwrap()).await.unwrap();
    assert_complete(&pulled.snapshot, SIZE);
}

#[tokio::test]
async fn a_stalled_transfer_is_taken_up_again() {
    let env = TestEnv::with_model(SIZE);
    env.server
        .inject(REPO, WEIGHTS, Fault::StallAfter(1_500_000));
    let mut config = env.config();
    config.read_timeout = Duration::from_millis(700);
    let recorder = EventRecorder::default();
    let pulled = Hub::new(config)
        .unwrap()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_complete(&pulled.snapshot, SIZE);
    assert_eq!(recorder.starts(WEIGHTS), [0, 1_500_000]);
    assert_eq!(recorder.retries(), ["nothing arrived for 0.7 s"]);
}

#[tokio::test]
async fn damaged_bytes_are_noticed_and_fetched_again() {
    for file in [WEIGHTS, "config.json"] {
        let env = TestEnv::with_model(SIZE);
        env.server.inject(REPO, file, Fault::Corrupt);
        let recorder = EventRecorder::default();
        let pulled = env
            .hub()
            .pull(&request(), &recorder, &CancellationToken::new())
            .await
            .unwrap();
        assert_complete(&pulled.snapshot, SIZE);
        assert!(
            recorder.retries()[0].contains("damaged"),
            "{:?}",
            recorder.retries()
        );
    }
}

#[tokio::test]
async fn bytes_damaged_at_the_source_are_refused() {
    let env = TestEnv::with_model(SIZE);
    for _ in 0..10 {
        env.server.inject(REPO, WEIGHTS, Fault::Corrupt);
    }
    let error = pull(&env.hub()).await.unwrap_err();
    assert!(
        matches!(&error, HubError::Corrupt { file, .. } if file == WEIGHTS),
        "{error:?}"
    );
    assert!(env.partials().is_empty());
    assert!(!env.repo_folder().join("snapshots").exists());
    assert!(!env.repo_folder().join("refs").exists());
}

#[tokio::test]
async fn a_damaged_beginning_on_disk_is_noticed() {
    let env = TestEnv::with_model(SIZE);
    env.server
        .inject(REPO, WEIGHTS, Fault::DropAfter(1_000_000));
    let mut config = env.config();
    config.retry.max_attempts = 1;
    pull(&Hub::new(config).unwrap()).await.unwrap_err();
    fs::write(env.partial().unwrap(), vec![0; 1_000_000]).unwrap();
    let recorder = EventRecorder::default();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_complete(&pulled.snapshot, SIZE);
    assert_eq!(recorder.starts(WEIGHTS), [1_000_000, 0]);
}

#[tokio::test]
async fn a_server_without_ranges_starts_over_instead_of_appending() {
    let env = TestEnv::with_model(SIZE);
    env.server
        .inject(REPO, WEIGHTS, Fault::DropAfter(1_000_000));
    env.server.inject(REPO, WEIGHTS, Fault::IgnoreRange);
    let recorder = EventRecorder::default();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_complete(&pulled.snapshot, SIZE);
    assert_eq!(recorder.starts(WEIGHTS), [0, 1_000_000, 0]);
    assert_eq!(
        recorder.retries().len(),
        1,
        "the whole file is taken as it comes"
    );
}

#[tokio::test]
async fn content_that_changes_meanwhile_is_fetched_anew() {
    for is_large in [true, false] {
        let env = TestEnv::new();
        let (old, new) = (
            weights(300_000),
            weights(250_000).into_iter().rev().collect::<Vec<u8>>(),
        );
        let repo = TestRepo::new(REPO).file("config.json", "{}");
        env.server.add(if is_large {
            repo.large_file(WEIGHTS, old)
        } else {
            repo.file(WEIGHTS, old)
        });
        // The first part of the old content is here when the second request finds the new one.
        env.server.inject(REPO, WEIGHTS, Fault::DropAfter(100_000));
        env.server
            .inject(REPO, WEIGHTS, Fault::Replace(new.clone()));
        let pulled = pull(&env.hub()).await.unwrap();
        assert!(
            fs::read(pulled.snapshot.join(WEIGHTS)).unwrap() == new,
            "large: {is_large}"
        );
        assert!(
            env.partials().is_empty(),
            "what nobody can complete is removed"
        );
    }
}

#[tokio::test]
async fn busy_answers_are_retried_after_the_time_they_ask_for() {
    let env = TestEnv::with_model(1_000);
    env.server
        .inject(REPO, WEIGHTS, Fault::HubStatus(429, Some("1")));
    env.server
        .inject(REPO, WEIGHTS, Fault::HubStatus(503, None));
    env.server.inject(REPO, WEIGHTS, Fault::Status(500));
    let recorder = EventRecorder::default();
    let begun = Instant::now();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_complete(&pulled.snapshot, 1_000);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let delays: Vec<Duration> = recorder
        .events()
        .into_iter()
        .filter_map(|event| {
            if let PullEvent::Retrying { delay, .. } = event {
                Some(delay)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(delays[0], Duration::from_secs(1));
    assert!(
        delays[1..]
            .iter()
            .all(|delay| *delay < Duration::from_secs(1)),
        "{delays:?}"
    );
    assert_eq!(delays.len(), 3);
}

#[tokio::test]
async fn a_link_to_storage_that_expired_is_renewed() {
    let env = TestEnv::with_model(1_000);
    env.server.inject(REPO, WEIGHTS, Fault::Status(403));
    let pulled = pull(&env.hub()).await.unwrap();
    assert_complete(&pulled.snapshot, 1_000);
}

#[tokio::test]
async fn attempts_without_progress_are_bounded() {
    let env = TestEnv::with_model(1_000);
    for _ in 0..50 {
        env.server
            .inject(REPO, WEIGHTS, Fault::HubStatus(503, None));
    }
    let mut config = env.config();
    config.retry.max_attempts = 4;
    let error = pull(&Hub::new(config).unwrap()).await.unwrap_err();
    assert!(
        matches!(&error, HubError::RetriesExhausted { attempts: 4, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("503"), "{error}");
    assert_eq!(env.server.content_requests(WEIGHTS).len(), 4);
    assert!(!env.repo_folder().join("snapshots").exists());
}

#[tokio::test]
async fn a_server_that_drops_at_the_same_place_and_knows_no_ranges_is_given_up() {
    let env = TestEnv::with_model(SIZE);
    for _ in 0..50 {
        env.server.inject(REPO, WEIGHTS, Fault::DropAfter(500_000));
    }
    // Each further answer is the whole file, cut at the same place: the position moves every time,
    // but never to new ground.
    let mut config = env.config();
    config.retry.max_attempts = 3;
    env.server.ignore_ranges();
    let error = pull(&Hub::new(config).unwrap()).await.unwrap_err();
    assert!(
        matches!(&error, HubError::RetriesExhausted { .. }),
        "{error:?}"
    );
    assert!(env.server.content_requests(WEIGHTS).len() <= 4);
}

#[tokio::test]
async fn questions_are_retried_too() {
    let env = TestEnv::with_model(1_000);
    env.server.fail_next_api_request(503, None);
    env.server.fail_next_api_request(429, Some("1"));
    assert_complete(&pull(&env.hub()).await.unwrap().snapshot, 1_000);
    for _ in 0..9 {
        env.server.fail_next_api_request(500, None);
    }
    let error = pull(&env.hub()).await.unwrap_err();
    assert!(
        matches!(error, HubError::Server { status: 500, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn cancelling_keeps_what_arrived_and_publishes_nothing() {
    let env = TestEnv::with_model(SIZE);
    env.server
        .inject(REPO, WEIGHTS, Fault::StallAfter(1_300_000));
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    // Both files are under way at once: the small one must be whole, or how much is kept would be a matter of luck.
    let (stalled, other_whole) = (AtomicBool::new(false), AtomicBool::new(false));
    let cancel_midway = move |event: &PullEvent| {
        match event {
            PullEvent::Advanced {
                position_bytes: 1_300_000,
                ..
            } => stalled.store(true, Ordering::SeqCst),
            PullEvent::Finished { file, .. } if file == "config.json" => {
                other_whole.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
        if stalled.load(Ordering::SeqCst) && other_whole.load(Ordering::SeqCst) {
            stop.cancel();
        }
    };
    let error = env
        .hub()
        .pull(&request(), &cancel_midway, &cancel)
        .await
        .unwrap_err();
    assert!(matches!(error, HubError::Cancelled), "{error:?}");
    assert_eq!(
        fs::metadata(env.partial().unwrap()).unwrap().len(),
        1_300_000
    );
    assert!(!env.repo_folder().join("snapshots").exists());

    let recorder = EventRecorder::default();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(recorder.starts(WEIGHTS), [1_300_000]);
    assert_eq!(pulled.bytes_reused, 1_300_000 + 39);
    assert_complete(&pulled.snapshot, SIZE);
}

#[tokio::test]
async fn one_file_that_fails_leaves_the_others_resumable() {
    let env = TestEnv::new();
    let (a, b) = (
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    );
    env.server.add(
        TestRepo::new(REPO)
            .file("config.json", "{}")
            .large_file(a, weights(SIZE))
            .large_file(b, weights(SIZE / 2)),
    );
    env.server.inject(REPO, a, Fault::StallAfter(1_200_000));
    for _ in 0..9 {
        env.server.inject(REPO, b, Fault::HubStatus(503, None));
    }
    let mut config = env.config();
    config.retry.max_attempts = 8;
    config.retry.initial_backoff = Duration::from_millis(20);
    let error = pull(&Hub::new(config).unwrap()).await.unwrap_err();
    assert!(
        matches!(&error, HubError::RetriesExhausted { file, .. } if file == b),
        "{error:?}"
    );
    let sizes: Vec<u64> = files_below(&env.repo_folder().join("blobs"))
        .iter()
        .filter(|path| path.extension().is_some())
        .map(|path| fs::metadata(path).unwrap().len())
        .collect();
    assert!(sizes.contains(&1_200_000), "{sizes:?}");
}

#[tokio::test]
async fn a_hub_that_cannot_be_reached_is_named() {
    let env = TestEnv::with_model(10);
    let mut config = env.config();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    config.endpoint = Some(format!("http://127.0.0.1:{port}"));
    let error = pull(&Hub::new(config).unwrap()).await.unwrap_err();
    assert!(
        matches!(&error, HubError::Network { url, .. } if url.contains(&port.to_string())),
        "{error:?}"
    );
}

//! Pulls over a faulty network.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{
    EventRecorder, REPO, TestEnv, WEIGHTS, assert_complete, config, files_below, pull, request,
    weights,
};
use mlxm_hub::{CancellationToken, Hub, HubError, PullEvent};
use mlxm_testhub::{Fault, TestRepo};

const SIZE: usize = 3_000_000;

#[tokio::test]
async fn dropped_connection_resumes_at_the_last_byte() {
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
async fn small_file_resumes_if_its_etag_is_unchanged() {
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
async fn progress_resets_the_attempt_count() {
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
async fn stalled_transfer_is_resumed() {
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
    assert_eq!(recorder.retries(), ["no data received for 0.7 s"]);
}

#[tokio::test]
async fn corrupt_download_is_detected_and_retried() {
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
            recorder.retries()[0].contains("checksum mismatch"),
            "{:?}",
            recorder.retries()
        );
    }
}

#[tokio::test]
async fn repeatedly_corrupt_download_is_an_error() {
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
async fn corrupt_partial_file_is_detected() {
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
async fn server_without_range_support_restarts_the_file() {
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
        "the full response is used without another attempt"
    );
}

#[tokio::test]
async fn content_changed_during_download_is_fetched_again() {
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
        // The partial file has old content when the second request finds the new one.
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
            "the obsolete partial file is removed"
        );
    }
}

#[tokio::test]
async fn retry_after_is_respected() {
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
async fn expired_storage_url_is_renewed() {
    let env = TestEnv::with_model(1_000);
    env.server.inject(REPO, WEIGHTS, Fault::Status(403));
    let pulled = pull(&env.hub()).await.unwrap();
    assert_complete(&pulled.snapshot, 1_000);
}

#[tokio::test]
async fn attempts_without_progress_are_limited() {
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
async fn server_without_ranges_that_drops_at_the_same_position_fails() {
    let env = TestEnv::with_model(SIZE);
    for _ in 0..50 {
        env.server.inject(REPO, WEIGHTS, Fault::DropAfter(500_000));
    }
    // Each further response is the whole file, dropped at the same position, so there is no progress.
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
async fn metadata_requests_are_retried() {
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
async fn cancellation_keeps_partial_file_and_publishes_nothing() {
    let env = TestEnv::with_model(SIZE);
    env.server
        .inject(REPO, WEIGHTS, Fault::StallAfter(1_300_000));
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    // Both files download in parallel. Wait until the small one is complete, so that the kept size is deterministic.
    let (stalled, other_complete) = (AtomicBool::new(false), AtomicBool::new(false));
    let cancel_midway = move |event: &PullEvent| {
        match event {
            PullEvent::Advanced {
                position_bytes: 1_300_000,
                ..
            } => stalled.store(true, Ordering::SeqCst),
            PullEvent::Finished { file, .. } if file == "config.json" => {
                other_complete.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
        if stalled.load(Ordering::SeqCst) && other_complete.load(Ordering::SeqCst) {
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
async fn failed_file_keeps_partial_files_of_the_others() {
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
async fn unreachable_hub_error_contains_the_url() {
    let env = TestEnv::with_model(10);
    let mut config = env.config();
    // A port that was just released.
    let port = TcpListener::bind("127.0.0.1:0")
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

#[tokio::test]
async fn listing_that_never_ends_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let is_listing = String::from_utf8_lossy(&request[..length]).contains("/tree/");
            let (link, body) = if is_listing {
                ("Link: <?recursive=true>; rel=\"next\"\r\n", "[]")
            } else {
                ("", r#"{"id":"org/tiny-4bit","sha":"0123"}"#)
            };
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\n{link}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::new(config(&endpoint, home.path())).unwrap();
    let repo = REPO.parse().unwrap();
    let error = hub.model_info(&repo, None).await.unwrap_err();
    assert!(error.to_string().contains("pages"), "{error}");
}

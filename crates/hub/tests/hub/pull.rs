//! Pulls without faults.

use std::collections::HashMap;
use std::fs;

use crate::support::{
    EventRecorder, REPO, TestEnv, WEIGHTS, assert_complete, files_below, model, pull, request,
    weights,
};
use mlxm_hub::{CancellationToken, FileFilter, Hub, HubError, PullEvent, WeightsKind};
use mlxm_testhub::{Fault, TestRepo};

#[tokio::test]
async fn pull_creates_the_huggingface_hub_layout() {
    let env = TestEnv::with_model(3_000_000);
    let commit = model(REPO, 3_000_000).commit();
    let hub = env.hub();
    let pulled = pull(&hub).await.unwrap();

    assert_eq!(pulled.commit, commit);
    assert_eq!(
        pulled.snapshot,
        env.repo_folder().join("snapshots").join(&commit)
    );
    assert_complete(&pulled.snapshot, 3_000_000);
    assert_eq!(
        fs::read_to_string(env.repo_folder().join("refs/main")).unwrap(),
        commit
    );
    assert!(!pulled.snapshot.join("README.md").exists());

    let info = hub.model_info(&REPO.parse().unwrap(), None).await.unwrap();
    for file in info.files.iter().filter(|file| file.path != "README.md") {
        let link = fs::read_link(pulled.snapshot.join(&file.path)).unwrap();
        assert_eq!(
            link.to_str().unwrap(),
            format!("../../blobs/{}", file.digest.as_str())
        );
    }
    assert!(env.partials().is_empty());
    assert_eq!(pulled.bytes_reused, 0);
    assert!(pulled.bytes_downloaded > 3_000_000);
}

#[tokio::test]
async fn second_pull_downloads_nothing() {
    let env = TestEnv::with_model(100_000);
    let hub = env.hub();
    let first = pull(&hub).await.unwrap();
    let before = env.server.content_requests(WEIGHTS).len();
    let recorder = EventRecorder::default();
    let second = hub
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(second.bytes_downloaded, 0);
    assert_eq!(second.bytes_reused, first.bytes_downloaded);
    assert_eq!(second.snapshot, first.snapshot);
    assert_eq!(env.server.content_requests(WEIGHTS).len(), before);
    assert!(
        !recorder
            .events()
            .iter()
            .any(|event| matches!(event, PullEvent::Started { .. }))
    );
}

#[tokio::test]
async fn new_commit_downloads_only_changed_files() {
    let env = TestEnv::with_model(100_000);
    let hub = env.hub();
    let first = pull(&hub).await.unwrap();
    let commit = env
        .server
        .add(model(REPO, 100_000).file("config.json", r#"{"model_type":"qwen2"}"#));
    let second = pull(&hub).await.unwrap();
    assert_eq!(second.commit, commit);
    assert_eq!(
        second.bytes_downloaded,
        r#"{"model_type":"qwen2"}"#.len() as u64
    );
    assert_eq!(
        fs::read_to_string(env.repo_folder().join("refs/main")).unwrap(),
        commit
    );
    assert_complete(&first.snapshot, 100_000);
}

#[tokio::test]
async fn revision_may_be_a_branch_tag_or_commit() {
    let env = TestEnv::with_model(1_000);
    let old = model(REPO, 1_000).commit();
    let new = env.server.add(model(REPO, 2_000).branch("refs/pr/1"));
    let hub = env.hub();

    let mut by_branch = request();
    by_branch.revision = Some("refs/pr/1".to_owned());
    let pulled = hub
        .pull(
            &by_branch,
            &EventRecorder::default(),
            &CancellationToken::new(),
        )
        .await
        .unwrap();
    assert_eq!(pulled.commit, new);
    assert_eq!(
        fs::read_to_string(env.repo_folder().join("refs/refs/pr/1")).unwrap(),
        new
    );

    let mut by_commit = request();
    by_commit.revision = Some(old.clone());
    let pulled = hub
        .pull(
            &by_commit,
            &EventRecorder::default(),
            &CancellationToken::new(),
        )
        .await
        .unwrap();
    assert_eq!(pulled.commit, old);
    assert!(!env.repo_folder().join("refs").join(&old).exists());

    assert_eq!(
        hub.resolve_revision(REPO, "refs/pr/1")
            .unwrap()
            .commit
            .as_deref(),
        Some(new.as_str())
    );
    assert_eq!(
        hub.resolve_revision(REPO, &old[..8])
            .unwrap()
            .commit
            .as_deref(),
        Some(old.as_str())
    );

    let mut missing = request();
    missing.revision = Some("v9".to_owned());
    let error = hub
        .pull(
            &missing,
            &EventRecorder::default(),
            &CancellationToken::new(),
        )
        .await
        .unwrap_err();
    assert!(
        matches!(&error, HubError::RevisionNotFound { revision, .. } if revision == "v9"),
        "{error:?}"
    );
}

#[tokio::test]
async fn events_follow_the_documented_grammar() {
    let env = TestEnv::with_model(2_500_000);
    let recorder = EventRecorder::default();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    let events = recorder.events();

    let total =
        2_500_000 + r#"{"model_type":"llama"}"#.len() as u64 + r#"{"version":"1.0"}"#.len() as u64;
    assert_eq!(
        events[0],
        PullEvent::Planned {
            files: 3,
            total_bytes: total,
            reused_bytes: 0
        }
    );
    assert_eq!(
        events.last(),
        Some(&PullEvent::Done {
            snapshot: pulled.snapshot
        })
    );
    let mut positions: HashMap<String, u64> = HashMap::new();
    let mut finished = Vec::new();
    for event in &events[1..events.len() - 1] {
        match event {
            PullEvent::Started {
                file,
                position_bytes,
                ..
            } => {
                assert_eq!(*position_bytes, 0);
                assert_eq!(
                    positions.insert(file.clone(), 0),
                    None,
                    "{file} started twice"
                );
            }
            PullEvent::Advanced {
                file,
                position_bytes,
            } => {
                let before = positions.insert(file.clone(), *position_bytes).unwrap();
                assert!(*position_bytes > before);
            }
            PullEvent::Finished { file, size_bytes } => {
                assert_eq!(positions[file], *size_bytes);
                finished.push(file.clone());
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    finished.sort();
    assert_eq!(finished, ["config.json", WEIGHTS, "tokenizer.json"]);
}

#[tokio::test]
async fn files_are_downloaded_in_parallel() {
    for (parallel, most) in [(1, 1), (3, 3)] {
        let env = TestEnv::new();
        let mut repo = TestRepo::new(REPO).file("config.json", "{}");
        for shard in 1..=6 {
            let name = format!("model-{shard:05}-of-00006.safetensors");
            repo = repo.large_file(&name, vec![shard; 40_000]);
        }
        env.server.add(repo);
        env.server
            .throttle(10_000, std::time::Duration::from_millis(20));
        let mut request = request();
        request.parallel = parallel;
        env.hub()
            .pull(
                &request,
                &EventRecorder::default(),
                &CancellationToken::new(),
            )
            .await
            .unwrap();
        let highest = env
            .server
            .received()
            .iter()
            .map(|request| request.concurrent)
            .max()
            .unwrap();
        assert_eq!(highest, most);
    }
}

#[tokio::test]
async fn files_with_equal_content_are_downloaded_once() {
    let env = TestEnv::new();
    let same = weights(50_000);
    env.server.add(
        TestRepo::new(REPO)
            .file("config.json", "{}")
            .large_file("model-00001-of-00002.safetensors", same.clone())
            .large_file("model-00002-of-00002.safetensors", same.clone()),
    );
    let recorder = EventRecorder::default();
    let pulled = env
        .hub()
        .pull(&request(), &recorder, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(pulled.bytes_downloaded, 50_002);
    let of_copy = |event: &PullEvent| match event {
        PullEvent::Reused { file, .. } => Some(file.clone()),
        _ => None,
    };
    let copies: Vec<String> = recorder.events().iter().filter_map(of_copy).collect();
    assert_eq!(copies, ["model-00002-of-00002.safetensors"]);
    for shard in 1..=2 {
        let path = pulled
            .snapshot
            .join(format!("model-0000{shard}-of-00002.safetensors"));
        assert!(fs::read(path).unwrap() == same);
    }
}

#[tokio::test]
async fn empty_and_nested_files_are_downloaded() {
    let env = TestEnv::new();
    env.server.add(
        model(REPO, 10)
            .file("merges.txt", "")
            .file("additional_chat_templates/tool use.jinja", "{{ x }}"),
    );
    let pulled = pull(&env.hub()).await.unwrap();
    assert_eq!(fs::read(pulled.snapshot.join("merges.txt")).unwrap(), b"");
    let template = pulled
        .snapshot
        .join("additional_chat_templates/tool use.jinja");
    assert_eq!(fs::read_to_string(template).unwrap(), "{{ x }}");
}

#[tokio::test]
async fn unsupported_weights_are_rejected_unless_selected_explicitly() {
    let kinds = [
        ("model.gguf", WeightsKind::GgufOnly, "GGUF"),
        ("pytorch_model.bin", WeightsKind::PytorchOnly, "pickle"),
        ("notes.md", WeightsKind::None, "no model weights"),
    ];
    for (file, kind, words) in kinds {
        let env = TestEnv::new();
        env.server.add(
            TestRepo::new(REPO)
                .file("config.json", "{}")
                .large_file(file, vec![1; 100]),
        );
        let hub = env.hub();
        assert_eq!(
            hub.model_info(&REPO.parse().unwrap(), None)
                .await
                .unwrap()
                .weights_kind(),
            kind
        );
        let error = pull(&hub).await.unwrap_err();
        assert!(
            matches!(error, HubError::UnsupportedWeights { kind: found, .. } if found == kind),
            "{error:?}"
        );
        assert!(error.to_string().contains(words), "{error}");
        assert!(!env.repo_folder().exists());

        let mut explicit = request();
        explicit.files = FileFilter::Patterns {
            include: vec![file.to_owned()],
            exclude: vec![],
        };
        let pulled = hub
            .pull(
                &explicit,
                &EventRecorder::default(),
                &CancellationToken::new(),
            )
            .await
            .unwrap();
        assert_eq!(fs::read(pulled.snapshot.join(file)).unwrap(), [1; 100]);
    }
}

#[tokio::test]
async fn patterns_without_matches_are_an_error() {
    let env = TestEnv::with_model(10);
    let mut nothing = request();
    nothing.files = FileFilter::Patterns {
        include: vec!["*.onnx".to_owned()],
        exclude: vec![],
    };
    let error = env
        .hub()
        .pull(
            &nothing,
            &EventRecorder::default(),
            &CancellationToken::new(),
        )
        .await
        .unwrap_err();
    assert!(
        matches!(error, HubError::NoMatchingFiles { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn file_listing_follows_pagination() {
    let env = TestEnv::with_model(1_000);
    env.server.page_size(1);
    let pulled = pull(&env.hub()).await.unwrap();
    assert_complete(&pulled.snapshot, 1_000);
}

#[tokio::test]
async fn weights_that_the_index_does_not_name_are_not_downloaded() {
    let shards = [1, 2].map(|shard| format!("model-0000{shard}-of-00002.safetensors"));
    let (first, second) = (shards[0].as_str(), shards[1].as_str());
    for (names, expected) in [
        ([first, second], vec![first, second]),
        ([WEIGHTS, WEIGHTS], vec![WEIGHTS]),
        // The index of another conversion.
        ([WEIGHTS, "other.safetensors"], vec![first, second, WEIGHTS]),
    ] {
        let env = TestEnv::new();
        let index = serde_json::json!({"weight_map": {"a": names[0], "b": names[1]}});
        let repo = model(REPO, 100)
            .large_file(first, weights(200))
            .large_file(second, weights(300))
            .file("model.safetensors.index.json", index.to_string());
        env.server.add(repo);
        let pulled = pull(&env.hub()).await.unwrap();
        let mut found: Vec<String> = files_below(&pulled.snapshot)
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".safetensors"))
            .collect();
        found.sort();
        assert_eq!(found, expected);
        let listed = env.hub().local().unwrap();
        assert!(listed[0].complete, "{listed:?}");
    }
}

#[tokio::test]
async fn repository_name_with_wrong_case_is_redirected() {
    let env = TestEnv::with_model(10);
    let info = env
        .hub()
        .model_info(&"Org/Tiny-4BIT".parse().unwrap(), None)
        .await
        .unwrap();
    assert_eq!(info.repo.as_str(), REPO);
    assert_eq!(info.files.len(), 4);
}

#[tokio::test]
async fn bandwidth_is_limited_until_the_limit_is_lifted() {
    let env = TestEnv::with_model(30_000);
    let config = env.config();
    let bandwidth = config.bandwidth.clone();
    let hub = Hub::new(config).unwrap();
    bandwidth.set_limit(Some(100_000));
    let started = std::time::Instant::now();
    pull(&hub).await.unwrap();
    assert!(started.elapsed() >= std::time::Duration::from_millis(250));
    // An hour at this limit.
    bandwidth.set_limit(Some(10));
    env.server.add(model(REPO, 40_000));
    let cancel = CancellationToken::new();
    let slow = request();
    let pull = hub.pull(&slow, &mlxm_hub::NoProgress, &cancel);
    let stop = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        cancel.cancel();
    };
    let (pulled, ()) = tokio::join!(pull, stop);
    assert!(matches!(pulled, Err(HubError::Cancelled)));
}

#[tokio::test]
async fn partial_files_are_removed_and_snapshots_stay() {
    let env = TestEnv::with_model(10_000);
    let mut config = env.config();
    config.retry.max_attempts = 1;
    let hub = Hub::new(config).unwrap();
    let repo = REPO.parse().unwrap();
    env.server.inject(REPO, WEIGHTS, Fault::DropAfter(4_000));
    pull(&hub).await.unwrap_err();
    assert!(env.partial().is_some());
    assert!(hub.remove_partial(&repo).unwrap() >= 4_000);
    assert!(!env.repo_folder().exists());
    assert_eq!(hub.remove_partial(&repo).unwrap(), 0);

    let first = pull(&hub).await.unwrap();
    env.server.add(model(REPO, 20_000));
    env.server.inject(REPO, WEIGHTS, Fault::DropAfter(4_000));
    pull(&hub).await.unwrap_err();
    assert!(hub.remove_partial(&repo).unwrap() >= 4_000);
    assert_eq!(env.partials(), Vec::<std::path::PathBuf>::new());
    assert_complete(&first.snapshot, 10_000);
    assert_eq!(hub.resolve(REPO).unwrap().path, first.snapshot);
}

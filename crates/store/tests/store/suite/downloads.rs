use crate::support::gateway;
use mlxm_store::downloads::{self, Download, DownloadProgress, DownloadState};
use mlxm_store::{Store, StoreError, Uuid};

async fn enqueue(store: &Store, gateway_id: Uuid, names: &[&str]) -> Vec<Download> {
    let mut added = Vec::new();
    for name in names {
        added.push(
            downloads::enqueue(store, gateway_id, name, "main", &[])
                .await
                .unwrap(),
        );
    }
    added
}

async fn queue(store: &Store, gateway_id: Uuid) -> Vec<String> {
    let downloads = downloads::list(store, gateway_id).await.unwrap();
    downloads
        .into_iter()
        .map(|download| download.repo_id)
        .collect()
}

fn progress(state: DownloadState) -> DownloadProgress {
    DownloadProgress {
        state,
        total_bytes: Some(1 << 40),
        done_bytes: 7,
        error: None,
    }
}

pub async fn the_queue_keeps_its_order(store: Store) {
    let gateway = gateway(&store).await;
    let added = enqueue(&store, gateway.id, &["b", "a", "c"]).await;
    assert_eq!(downloads::list(&store, gateway.id).await.unwrap(), added);
    assert_eq!(added[0].progress.state, DownloadState::Queued);

    let other = crate::support::gateway(&store).await;
    assert!(queue(&store, other.id).await.is_empty());
    assert!(downloads::delete(&store, added[0].id).await.unwrap());
    assert!(!downloads::delete(&store, added[0].id).await.unwrap());
    enqueue(&store, gateway.id, &["d"]).await;
    assert_eq!(queue(&store, gateway.id).await, ["a", "c", "d"]);
}

pub async fn a_download_keeps_its_patterns(store: Store) {
    let gateway = gateway(&store).await;
    let files = ["*.gguf".to_owned(), "README.md".to_owned()];
    let added = downloads::enqueue(&store, gateway.id, "owner/name", "v1", &files)
        .await
        .unwrap();
    assert_eq!(added.files, files);
    assert_eq!(downloads::list(&store, gateway.id).await.unwrap(), [added]);
    let error = downloads::enqueue(&store, gateway.id, "owner/name", "v1", &[String::new()])
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Invalid { field: "files", .. }),
        "{error}"
    );
}

pub async fn reorder_moves_the_named_downloads_first(store: Store) {
    let gateway = gateway(&store).await;
    let added = enqueue(&store, gateway.id, &["a", "b", "c", "d"]).await;
    downloads::reorder(&store, gateway.id, &[added[3].id, added[1].id])
        .await
        .unwrap();
    assert_eq!(queue(&store, gateway.id).await, ["d", "b", "a", "c"]);
    enqueue(&store, gateway.id, &["e"]).await;
    assert_eq!(queue(&store, gateway.id).await, ["d", "b", "a", "c", "e"]);
}

pub async fn reorder_rejects_unknown_and_repeated_downloads(store: Store) {
    let gateway = gateway(&store).await;
    let added = enqueue(&store, gateway.id, &["a", "b"]).await;
    let error = downloads::reorder(&store, gateway.id, &[added[1].id, Uuid::now_v7()])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    let error = downloads::reorder(&store, gateway.id, &[added[1].id, added[1].id])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    let other = crate::support::gateway(&store).await;
    let error = downloads::reorder(&store, other.id, &[added[1].id])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    assert_eq!(queue(&store, gateway.id).await, ["a", "b"]);
}

pub async fn progress_records_the_first_start_and_the_end(store: Store) {
    let gateway = gateway(&store).await;
    let id = enqueue(&store, gateway.id, &["a"]).await[0].id;
    let read = async || downloads::list(&store, gateway.id).await.unwrap().remove(0);

    downloads::update(&store, id, &progress(DownloadState::Paused))
        .await
        .unwrap();
    assert_eq!(read().await.started_at_ms, None);
    downloads::update(&store, id, &progress(DownloadState::Checking))
        .await
        .unwrap();
    let checking = read().await;
    assert!(checking.started_at_ms.is_some());
    downloads::update(&store, id, &progress(DownloadState::Running))
        .await
        .unwrap();
    let running = read().await;
    assert_eq!(running.progress, progress(DownloadState::Running));
    assert_eq!(running.started_at_ms, checking.started_at_ms);
    let failed = DownloadProgress {
        error: Some("disk full".to_owned()),
        ..progress(DownloadState::Failed)
    };
    downloads::update(&store, id, &failed).await.unwrap();
    let read_failed = read().await;
    assert_eq!(read_failed.progress, failed);
    assert_eq!(read_failed.started_at_ms, running.started_at_ms);
    assert!(read_failed.finished_at_ms.is_some());
    downloads::update(&store, id, &progress(DownloadState::Queued))
        .await
        .unwrap();
    assert_eq!(read().await.finished_at_ms, None);

    let error = downloads::update(&store, Uuid::now_v7(), &failed)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    let too_many = DownloadProgress {
        done_bytes: u64::MAX,
        ..progress(DownloadState::Running)
    };
    let error = downloads::update(&store, id, &too_many).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Invalid {
                field: "done_bytes",
                ..
            }
        ),
        "{error}"
    );
}

pub async fn interrupted_downloads_are_queued_again(store: Store) {
    let states = [
        (DownloadState::Queued, DownloadState::Queued),
        (DownloadState::Checking, DownloadState::Queued),
        (DownloadState::Running, DownloadState::Queued),
        (DownloadState::Verifying, DownloadState::Queued),
        (DownloadState::Waiting, DownloadState::Queued),
        (DownloadState::Paused, DownloadState::Paused),
        (DownloadState::Done, DownloadState::Done),
        (DownloadState::Failed, DownloadState::Failed),
        (DownloadState::Cancelled, DownloadState::Cancelled),
    ];
    let (own, other) = (gateway(&store).await, gateway(&store).await);
    for gateway_id in [own.id, other.id] {
        for (state, _) in states {
            let id = enqueue(&store, gateway_id, &["a"]).await[0].id;
            downloads::update(&store, id, &progress(state))
                .await
                .unwrap();
        }
    }
    assert_eq!(
        downloads::requeue_interrupted(&store, own.id)
            .await
            .unwrap(),
        4
    );
    let read = async |gateway_id| {
        let downloads = downloads::list(&store, gateway_id).await.unwrap();
        downloads
            .into_iter()
            .map(|download| download.progress.state)
            .collect::<Vec<_>>()
    };
    assert_eq!(read(own.id).await, states.map(|(_, after)| after));
    assert_eq!(read(other.id).await, states.map(|(before, _)| before));
}

pub async fn downloads_need_a_registered_gateway(store: Store) {
    let error = downloads::enqueue(&store, Uuid::now_v7(), "owner/name", "main", &[])
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::NotFound {
                noun: "gateway",
                ..
            }
        ),
        "{error}"
    );
    let gateway = gateway(&store).await;
    let error = downloads::enqueue(&store, gateway.id, "", "main", &[])
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Invalid {
                field: "repo_id",
                ..
            }
        ),
        "{error}"
    );
}

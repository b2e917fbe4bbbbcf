//! The download queue with a hub that fails on demand: pauses, cancellations, restarts, and what it waits for.

#![expect(clippy::unwrap_used, reason = "panics fail the test")]

mod support;
#[path = "../common/wait.rs"]
mod wait;

use std::time::Duration;

use mlxm_api::wire::downloads::{DownloadState, WaitReason};
use mlxm_api::wire::events::{DownloadEvent, Event};
use mlxm_testhub::{Fault, TestRepo};

use support::{Machine, REPO, SIZE, WEIGHTS, request};

#[tokio::test]
async fn download_survives_truncation_errors_stalls_and_redirects() {
    let machine = Machine::new();
    for fault in [
        Fault::DropAfter(SIZE / 4),
        Fault::HubStatus(503, None),
        Fault::Status(502),
        Fault::StallAfter(SIZE / 4),
        Fault::IgnoreRange,
    ] {
        machine.server.inject(REPO, WEIGHTS, fault);
    }
    let gateway = machine.start().await;
    let mut events = gateway.events();
    let (download, is_new) = gateway.queue.add(request(REPO)).await.unwrap();
    assert!(is_new);
    let done = gateway.wait(download.id, DownloadState::Done).await;
    assert_eq!(done.total_bytes, Some(done.done_bytes));
    assert!(done.started_at_ms.is_some() && done.finished_at_ms.is_some());
    assert_eq!(machine.weights(), machine.content);
    let mut states = Vec::new();
    while states.last() != Some(&DownloadState::Done) {
        if let Event::Downloads(DownloadEvent::Changed { download }) = events.next().await {
            states.push(download.state);
        }
    }
    assert_eq!(
        states[..2],
        [DownloadState::Queued, DownloadState::Checking]
    );
    // A model that is here is downloaded again only to look for a newer one.
    let (again, is_new) = gateway.queue.add(request(REPO)).await.unwrap();
    assert!(is_new);
    assert_ne!(again.id, download.id);
    gateway.wait(again.id, DownloadState::Done).await;
    assert_eq!(gateway.queue.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn paused_download_writes_nothing_and_resumes_where_it_was() {
    let machine = Machine::new();
    machine.slow();
    let gateway = machine.start().await;
    let (download, _) = gateway.queue.add(request(REPO)).await.unwrap();
    gateway.wait_for_bytes(download.id).await;
    let paused = gateway.queue.pause(download.id).await.unwrap();
    assert_eq!(paused.state, DownloadState::Paused);
    let partial = machine.partial_bytes();
    assert!(partial > 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(machine.partial_bytes(), partial);
    let (same, is_new) = gateway.queue.add(request(REPO)).await.unwrap();
    assert_eq!((same.id, is_new), (download.id, false));

    machine.server.unthrottle();
    gateway.queue.resume(download.id).await.unwrap();
    gateway.wait(download.id, DownloadState::Done).await;
    assert_eq!(machine.weights(), machine.content);
    let last = machine.server.content_requests(WEIGHTS).pop().unwrap();
    assert_eq!(last.range, Some(format!("bytes={partial}-")));
    let error = gateway.queue.pause(download.id).await.unwrap_err();
    assert!(error.to_string().contains("cannot be paused"), "{error}");
}

#[tokio::test]
async fn cancelled_download_removes_or_keeps_its_partial_files() {
    let machine = Machine::new();
    machine.slow();
    let gateway = machine.start().await;
    for keep_partial in [true, false] {
        let (download, _) = gateway.queue.add(request(REPO)).await.unwrap();
        gateway.wait_for_bytes(download.id).await;
        let cancelled = gateway.queue.cancel(download.id, keep_partial).await;
        assert_eq!(cancelled.unwrap().state, DownloadState::Cancelled);
        assert_eq!(machine.partial_bytes() > 0, keep_partial);
    }
    let downloads = gateway.queue.list().await.unwrap();
    let [cancelled] = downloads.as_slice() else {
        panic!("the first row was replaced: {downloads:?}");
    };
    gateway.queue.remove(cancelled.id, false).await.unwrap();
    assert!(gateway.queue.list().await.unwrap().is_empty());
    let error = gateway.queue.remove(cancelled.id, false).await.unwrap_err();
    assert!(error.to_string().contains("no download"), "{error}");
}

#[tokio::test]
async fn downloads_continue_after_a_restart() {
    let machine = Machine::new();
    machine.add("org/second");
    machine.add("org/third");
    machine.slow();
    let gateway = machine.start().await;
    let mut ids = Vec::new();
    for repo in [REPO, "org/second", "org/third"] {
        ids.push(gateway.queue.add(request(repo)).await.unwrap().0.id);
    }
    gateway.wait_for_bytes(ids[0]).await;
    gateway.queue.pause(ids[1]).await.unwrap();
    let order = gateway.queue.order(vec![ids[2]]).await.unwrap();
    assert_eq!(order[0].id, ids[2]);
    gateway.stop().await;
    assert!(machine.partial_bytes() > 0);

    machine.server.unthrottle();
    let gateway = machine.start().await;
    let restored = gateway.queue.list().await.unwrap();
    let order: Vec<_> = restored.iter().map(|download| download.id).collect();
    assert_eq!(order, [ids[2], ids[0], ids[1]]);
    assert_eq!(restored[2].state, DownloadState::Paused);
    for id in [ids[0], ids[2]] {
        gateway.wait(id, DownloadState::Done).await;
    }
    assert_eq!(machine.weights(), machine.content);
}

#[tokio::test]
async fn two_repositories_are_downloaded_at_a_time_in_the_order_of_the_queue() {
    let machine = Machine::new();
    let repos = [REPO, "org/second", "org/third"];
    for repo in &repos[1..] {
        machine.add(repo);
    }
    machine.slow();
    let gateway = machine.start().await;
    let mut ids = Vec::new();
    for repo in repos {
        ids.push(gateway.queue.add(request(repo)).await.unwrap().0.id);
    }
    for id in &ids[..2] {
        gateway.wait_for_bytes(*id).await;
    }
    let states: Vec<_> = gateway.queue.list().await.unwrap();
    assert_eq!(states[2].state, DownloadState::Queued);
    gateway.queue.cancel(ids[0], false).await.unwrap();
    machine.server.unthrottle();
    for id in &ids[1..] {
        gateway.wait(*id, DownloadState::Done).await;
    }
}

#[tokio::test]
async fn full_disk_is_waited_for() {
    let machine = Machine::new();
    machine.disk.set_available(0);
    let gateway = machine.start().await;
    let (download, _) = gateway.queue.add(request(REPO)).await.unwrap();
    let waiting = gateway.wait(download.id, DownloadState::Waiting).await;
    assert_eq!(waiting.waiting_for, Some(WaitReason::Disk));
    let message = waiting.error.unwrap();
    assert!(message.contains("not enough disk space"), "{message}");
    machine.disk.set_available(u64::MAX);
    gateway.wait(download.id, DownloadState::Done).await;
}

#[tokio::test]
async fn lost_network_is_waited_for_and_other_errors_fail_with_what_to_do() {
    let machine = Machine::new();
    machine.server.add(
        TestRepo::new("org/gated")
            .file("config.json", "{}")
            .large_file(WEIGHTS, vec![1])
            .gated(),
    );
    let gateway = machine.start_with_endpoint("http://127.0.0.1:9").await;
    let (download, _) = gateway.queue.add(request(REPO)).await.unwrap();
    let waiting = gateway.wait(download.id, DownloadState::Waiting).await;
    assert_eq!(waiting.waiting_for, Some(WaitReason::Network));
    gateway.stop().await;

    let gateway = machine.start().await;
    gateway.wait(download.id, DownloadState::Done).await;
    let (gated, _) = gateway.queue.add(request("org/gated")).await.unwrap();
    let failed = gateway.wait(gated.id, DownloadState::Failed).await;
    let message = failed.error.unwrap();
    assert!(message.contains("request access"), "{message}");
    let resumed = gateway.queue.resume(gated.id).await.unwrap();
    assert_eq!(resumed.error, None);
    let error = gateway.queue.add(request("not a name")).await.unwrap_err();
    assert!(error.to_string().contains("owner/name"), "{error}");
}

#[tokio::test]
async fn selected_files_are_downloaded() {
    let machine = Machine::new();
    let gateway = machine.start().await;
    let mut selected = request(REPO);
    selected.files = vec!["config.json".to_owned()];
    let (download, _) = gateway.queue.add(selected).await.unwrap();
    let (other, is_new) = gateway.queue.add(request(REPO)).await.unwrap();
    assert!(is_new);
    let done = gateway.wait(download.id, DownloadState::Done).await;
    assert!(done.done_bytes < 100);
    gateway.wait(other.id, DownloadState::Done).await;
}

//! Requests that a user of the gateway cancels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use mlxm_api::{RequestUsage, UsageFinish};
use mlxm_store::Uuid;
use serde_json::Value;

use crate::failures::{assert_ends_with_error, events};
use crate::support::{MODEL, Setup, TestGateway, request, wait_until};
use crate::worker::{self, FrameResult, SetOnDrop, TestWorker, data, json, serve};

const CHAT: &str = "/v1/chat/completions";

const MESSAGE: &str = "cancelled this request";

fn usage() -> RequestUsage {
    RequestUsage {
        prompt_tokens: 20,
        completion_tokens: 7,
        finish: Some(UsageFinish::Cancelled),
        ..RequestUsage::default()
    }
}

/// The worker's report on a cancelled request.
fn report() -> Response {
    json(&serde_json::to_string(&usage()).unwrap())
}

/// Waits until the only request has a worker, if `has_worker`, or none; returns its id.
async fn only_request(gateway: &TestGateway, has_worker: bool) -> Uuid {
    let is_listed = || {
        let requests = gateway.requests.all();
        requests.len() == 1
            && requests[0].model.is_some()
            && requests[0].worker.is_some() == has_worker
    };
    wait_until(is_listed).await;
    let request = gateway.requests.all().remove(0);
    assert_eq!(request.requested.as_deref(), Some(MODEL));
    request.id
}

#[tokio::test]
async fn stream_ends_with_the_error_of_its_protocol() {
    for (route, event) in [
        (CHAT, "data: {\"choices\":[]}\n\n"),
        (
            "/v1/messages",
            "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
        ),
        (
            "/v1/responses",
            "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":4,\
             \"response\":{\"id\":\"resp_7\"}}\n\n",
        ),
    ] {
        let ended = Arc::<AtomicBool>::default();
        let guard = ended.clone();
        let worker = TestWorker::start(move |received| {
            if received.uri.path().starts_with("/internal/") {
                return report();
            }
            let guard = SetOnDrop(guard.clone());
            // The event is complete, and half of another one follows.
            let first = stream::iter([data(event), data("data: {\"half")]);
            let rest = stream::pending::<FrameResult>().map(move |frame| {
                let _ = &guard;
                frame
            });
            worker::events(first.chain(rest))
        })
        .await;
        let mut gateway = Setup::default().start(&worker).await;
        let mut response = gateway.post(route, request(true)).send().await.unwrap();
        let first = response.chunk().await.unwrap().unwrap();
        assert_eq!(std::str::from_utf8(&first).unwrap(), event);
        let id = only_request(&gateway, true).await;
        assert!(gateway.requests.cancel(id));
        let rest = response.text().await.unwrap();
        assert!(!rest.contains("half"), "{rest}");
        assert_ends_with_error(route, &events(&rest), MESSAGE);
        wait_until(|| ended.load(Ordering::SeqCst)).await;
        let record = gateway.record().await;
        assert_eq!((record.status, record.error), (499, Some("cancelled")));
        assert_eq!(record.usage, Some(usage()));
        assert!(gateway.requests.all().is_empty());
        assert!(!gateway.requests.cancel(id));
    }
}

#[tokio::test]
async fn request_without_a_stream_gets_a_status() {
    let ended = Arc::<AtomicBool>::default();
    let guard = ended.clone();
    let handler = move |request: Request| {
        let guard = guard.clone();
        async move {
            if request.uri().path().starts_with("/internal/") {
                return report();
            }
            let _guard = SetOnDrop(guard);
            std::future::pending::<Response>().await
        }
    };
    let address = serve(Router::new().fallback(handler)).await;
    let mut gateway = Setup::default().start_at(address).await;
    let waiting = tokio::spawn(gateway.post(CHAT, request(false)).send());
    let id = only_request(&gateway, true).await;
    gateway.requests.cancel(id);
    let response = waiting.await.unwrap().unwrap();
    assert_eq!(response.status().as_u16(), 499);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "cancelled", "{body}");
    wait_until(|| ended.load(Ordering::SeqCst)).await;
    let record = gateway.record().await;
    assert_eq!((record.status, record.error), (499, Some("cancelled")));
    assert_eq!(record.usage, Some(usage()));
}

#[tokio::test]
async fn request_that_waits_for_a_worker_leaves_the_queue() {
    let worker = TestWorker::start(|_| json("{}")).await;
    let setup = Setup {
        delay: Duration::from_hours(1),
        ..Setup::default()
    };
    let mut gateway = setup.start(&worker).await;
    let waiting = tokio::spawn(gateway.post(CHAT, request(false)).send());
    let id = only_request(&gateway, false).await;
    wait_until(|| gateway.pool.waiting.load(Ordering::SeqCst) == 1).await;
    gateway.requests.cancel(id);
    assert_eq!(waiting.await.unwrap().unwrap().status().as_u16(), 499);
    wait_until(|| gateway.pool.waiting.load(Ordering::SeqCst) == 0).await;
    let record = gateway.record().await;
    assert_eq!((record.status, record.error), (499, Some("cancelled")));
    assert_eq!(record.usage, None);
    assert!(worker.received().is_empty());
}

#[tokio::test]
async fn request_of_a_client_that_does_not_read_ends_at_the_worker() {
    let (ended, produced) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let shared = (ended.clone(), produced.clone());
    let chunk = format!("data: {}\n\n", "x".repeat(64 << 10));
    let worker = TestWorker::start(move |received| {
        if received.uri.path().starts_with("/internal/") {
            return report();
        }
        let (guard, produced) = (SetOnDrop(shared.0.clone()), shared.1.clone());
        let chunk = chunk.clone();
        worker::events(stream::repeat(()).map(move |()| {
            let _ = &guard;
            produced.fetch_add(1, Ordering::SeqCst);
            data(&chunk)
        }))
    })
    .await;
    let mut gateway = Setup::default().start(&worker).await;
    let response = gateway.post(CHAT, request(true)).send().await.unwrap();
    // Until all buffers are full.
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = produced.load(Ordering::SeqCst);
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    assert!(!ended.load(Ordering::SeqCst));
    let id = only_request(&gateway, true).await;
    gateway.requests.cancel(id);
    wait_until(|| ended.load(Ordering::SeqCst)).await;
    let record = gateway.record().await;
    assert_eq!((record.status, record.error), (499, Some("cancelled")));
    let text = response.text().await.unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"));
    assert!(text.contains(MESSAGE));
}

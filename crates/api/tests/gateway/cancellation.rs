//! Clients that disconnect or read slowly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use mlxm_api::RequestUsage;

use crate::support::{Setup, request, wait_until};
use crate::worker::{
    FrameResult, Received, SetOnDrop, TestWorker, data, events, json, response, serve,
};

const ROUTE: &str = "/v1/chat/completions";

fn usage() -> RequestUsage {
    RequestUsage {
        prompt_tokens: 20,
        completion_tokens: 7,
        ..RequestUsage::default()
    }
}

/// The worker's report on a cancelled request.
fn report(received: &Received) -> Option<Response> {
    let is_report = received.uri.path().starts_with("/internal/usage/");
    is_report.then(|| json(&serde_json::to_string(&usage()).unwrap()))
}

/// The id in the path of the report is that of the request before.
fn assert_reported_by_own_id(worker: &TestWorker) {
    let received = worker.received();
    assert_eq!(received.len(), 2);
    let own_id = received[0].header("x-mlxm-request-id").unwrap();
    assert_eq!(received[1].uri.path(), format!("/internal/usage/{own_id}"));
    assert_eq!(
        received[1].header("authorization"),
        Some("Bearer worker-key")
    );
}

#[tokio::test]
async fn disconnect_cancels_a_stream_and_records_its_usage() {
    let dropped = Arc::<AtomicBool>::default();
    let guard = dropped.clone();
    let worker = TestWorker::start(move |received| {
        report(received).unwrap_or_else(|| {
            let guard = SetOnDrop(guard.clone());
            let first = stream::iter([data("data: {}\n\n")]);
            // Silent after the first event.
            let rest = stream::pending::<FrameResult>().map(move |frame| {
                let _ = &guard;
                frame
            });
            events(first.chain(rest))
        })
    })
    .await;
    let mut gateway = Setup::default().start(&worker).await;
    let mut response = gateway.post(ROUTE, request(true)).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert!(!dropped.load(Ordering::SeqCst));
    drop(response);
    wait_until(|| dropped.load(Ordering::SeqCst)).await;
    let record = gateway.record().await;
    assert_eq!(record.status, 499);
    assert_eq!(record.usage, Some(usage()));
    assert_reported_by_own_id(&worker);
}

#[tokio::test]
async fn disconnect_cancels_a_request_before_the_head_of_its_response() {
    let (started, dropped) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let guards = (started.clone(), dropped.clone());
    let handler = move |request: Request| {
        let (started, dropped) = guards.clone();
        async move {
            if request.uri().path().starts_with("/internal/usage/") {
                return json(&serde_json::to_string(&usage()).unwrap());
            }
            let _guard = SetOnDrop(dropped);
            drop(SetOnDrop(started));
            std::future::pending::<Response>().await
        }
    };
    let address = serve(Router::new().fallback(handler)).await;
    let mut gateway = Setup::default().start_at(address).await;
    let waiting = tokio::spawn(gateway.post(ROUTE, request(false)).send());
    wait_until(|| started.load(Ordering::SeqCst)).await;
    assert!(!dropped.load(Ordering::SeqCst));
    waiting.abort();
    wait_until(|| dropped.load(Ordering::SeqCst)).await;
    let record = gateway.record().await;
    assert_eq!((record.status, record.usage), (499, Some(usage())));
}

#[tokio::test]
async fn disconnect_ends_the_wait_for_a_worker() {
    let worker = TestWorker::start(|_| json("{}")).await;
    let setup = Setup {
        delay: Duration::from_hours(1),
        ..Setup::default()
    };
    let mut gateway = setup.start(&worker).await;
    let waiting = tokio::spawn(gateway.post(ROUTE, request(false)).send());
    wait_until(|| gateway.pool.waiting.load(Ordering::SeqCst) == 1).await;
    waiting.abort();
    wait_until(|| gateway.pool.waiting.load(Ordering::SeqCst) == 0).await;
    assert_eq!(gateway.record().await.status, 499);
    assert!(worker.received().is_empty());
}

/// Together much more than the sockets of both connections can buffer.
const CHUNKS: usize = 1024;
const CHUNK_BYTES: usize = 64 << 10;

#[tokio::test]
async fn slow_client_slows_the_worker_instead_of_filling_memory() {
    for content_type in ["text/event-stream", "application/octet-stream"] {
        let produced = Arc::new(AtomicUsize::new(0));
        let counter = produced.clone();
        let mut chunk = vec![b'x'; CHUNK_BYTES];
        chunk[CHUNK_BYTES - 2..].copy_from_slice(b"\n\n");
        let chunk = Bytes::from(chunk);
        let worker = TestWorker::start(move |_| {
            let (counter, chunk) = (counter.clone(), chunk.clone());
            let frames = stream::iter(0..CHUNKS).map(move |_| -> FrameResult {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(Frame::data(chunk.clone()))
            });
            response(
                &[("content-type", content_type)],
                Body::new(StreamBody::new(frames)),
            )
        })
        .await;
        let mut gateway = Setup::default().start(&worker).await;
        let mut response = gateway.post(ROUTE, request(true)).send().await.unwrap();
        let mut before = 0;
        // Until all buffers are full.
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = produced.load(Ordering::SeqCst);
            if now == before && now > 0 {
                break;
            }
            before = now;
        }
        assert!(before < CHUNKS * 3 / 4, "{before} of {CHUNKS} chunks");
        let mut size_bytes = 0;
        while let Some(chunk) = response.chunk().await.unwrap() {
            size_bytes += chunk.len();
        }
        assert_eq!(size_bytes, CHUNKS * CHUNK_BYTES);
        assert_eq!(gateway.record().await.status, 200);
    }
}

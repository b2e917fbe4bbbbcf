//! Requests that wait for their worker.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use mlxm_api::gateway::proxy::{AcquireError, ProxyOptions};

use crate::failures::{assert_ends_with_error, events};
use crate::support::{Setup, request, wait_until};
use crate::worker::{TestWorker, data, event_list, json};

const ROUTES: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/messages",
    "/v1/responses",
];
const COMMENT: &str = ": keepalive\n\n";

/// A gateway whose worker takes much longer than a stream waits before it begins.
fn slow() -> Setup {
    Setup {
        options: ProxyOptions {
            begin_stream_after: Duration::from_millis(30),
            keepalive: Duration::from_millis(20),
            ..ProxyOptions::default()
        },
        delay: Duration::from_millis(400),
        ..Setup::default()
    }
}

fn does_not_fit() -> AcquireError {
    AcquireError {
        status: StatusCode::BAD_REQUEST,
        code: "model_does_not_fit",
        message: "the model needs 9 GB of 8 GB".to_owned(),
        advice: "choose a context of 8192 tokens".to_owned(),
        retry_after_seconds: Some(7),
    }
}

#[tokio::test]
async fn stream_begins_with_comments_until_its_worker_is_ready() {
    let worker =
        TestWorker::start(|_| event_list(vec![data("data: {}\n\n"), data("data: [DONE]\n\n")]))
            .await;
    let mut gateway = slow().start(&worker).await;
    for route in ROUTES {
        let mut response = gateway.post(route, request(true)).send().await.unwrap();
        // The worker does not have the request yet.
        assert_eq!(gateway.pool.leases.load(Ordering::SeqCst), 0);
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-served-by"], "local");
        assert!(response.headers().contains_key("x-request-id"));
        let first = response.chunk().await.unwrap().unwrap();
        assert!(first.starts_with(COMMENT.as_bytes()));
        let text = first.to_vec();
        let text = String::from_utf8(text).unwrap() + &response.text().await.unwrap();
        assert!(text.matches(COMMENT).count() > 2, "{text}");
        assert_eq!(text.replace(COMMENT, ""), "data: {}\n\ndata: [DONE]\n\n");
        assert_eq!(gateway.record().await.status, 200);
    }
}

#[tokio::test]
async fn failure_after_the_begin_is_the_error_event_of_the_protocol() {
    let worker = TestWorker::start(|_| json("{}")).await;
    let setup = Setup {
        error: Some(does_not_fit()),
        ..slow()
    };
    let mut gateway = setup.start(&worker).await;
    for route in ROUTES {
        let (status, text) = gateway.text(route, request(true)).await;
        assert_eq!(status, 200);
        assert!(text.starts_with(COMMENT), "{text}");
        assert_ends_with_error(route, &events(&text), "choose a context of 8192");
        let record = gateway.record().await;
        assert_eq!(
            (record.status, record.error),
            (400, Some("model_does_not_fit"))
        );
    }
}

#[tokio::test]
async fn failure_before_the_begin_is_a_status() {
    let worker = TestWorker::start(|_| json("{}")).await;
    let setup = Setup {
        error: Some(does_not_fit()),
        ..Setup::default()
    };
    let gateway = setup.start(&worker).await;
    let response = gateway.post(ROUTES[0], request(true)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 400);
    assert_eq!(response.headers()["retry-after"], "7");
    let text = response.text().await.unwrap();
    assert!(text.contains("\"model_does_not_fit\""), "{text}");
    assert!(text.contains("8 GB: choose"), "{text}");
}

#[tokio::test]
async fn rejection_by_the_worker_after_the_begin_is_an_event() {
    let worker = TestWorker::start(|_| {
        let body = r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages is empty"}}"#;
        let mut response = json(body);
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    })
    .await;
    let mut gateway = slow().start(&worker).await;
    for route in ROUTES {
        let (status, text) = gateway.text(route, request(true)).await;
        assert_eq!(status, 200);
        assert_ends_with_error(route, &events(&text), "messages is empty");
        assert_eq!(gateway.record().await.status, 400);
    }
}

#[tokio::test]
async fn request_without_stream_waits_for_its_worker() {
    let worker = TestWorker::start(|_| json("{\"a\":1}")).await;
    let gateway = slow().start(&worker).await;
    let response = gateway
        .post(ROUTES[0], request(false))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.text().await.unwrap(), "{\"a\":1}");
}

#[tokio::test]
async fn disconnect_during_comments_ends_the_wait() {
    let worker = TestWorker::start(|_| json("{}")).await;
    let setup = Setup {
        delay: Duration::from_hours(1),
        ..slow()
    };
    let mut gateway = setup.start(&worker).await;
    let mut response = gateway.post(ROUTES[2], request(true)).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(gateway.pool.waiting.load(Ordering::SeqCst), 1);
    drop(response);
    wait_until(|| gateway.pool.waiting.load(Ordering::SeqCst) == 0).await;
    assert_eq!(gateway.record().await.status, 499);
    assert!(worker.received().is_empty());
}

//! Limits, startup, shutdown and request ids.

use std::time::Duration;

use mlxm_api::{AppState, Limits};
use mlxm_engine::LoadOptions;
use serde_json::json;

use crate::stepper::Stepper;
use crate::support::{chat, events, load_options, metric, server_options, start_with};

const ROUTE: &str = "/v1/chat/completions";

async fn start_with_limits(limits: Limits) -> crate::support::TestServer {
    let mut options = server_options();
    options.limits = limits;
    start_with("llama-4bit", &load_options(), options).await
}

#[tokio::test]
async fn body_larger_than_the_limit_is_rejected() {
    let server = start_with_limits(Limits {
        body_bytes: 1000,
        ..Limits::default()
    })
    .await;
    let (status, message) = server
        .error(ROUTE, &chat(&"x".repeat(1000), json!({})))
        .await;
    assert_eq!(
        (status, message.as_str()),
        (413, "the request body is larger than this server accepts")
    );
    let (status, body) = server
        .post("/v1/messages", &chat(&"x".repeat(1000), json!({})))
        .await;
    assert_eq!(
        (status, &body["error"]["type"]),
        (413, &json!("request_too_large"))
    );
    server.ok(ROUTE, &chat("x", json!({"max_tokens": 1}))).await;
}

#[tokio::test]
async fn request_is_rejected_with_retry_after_if_the_queue_is_full() {
    let load = LoadOptions {
        max_sequences: 1,
        max_queued_requests: 1,
        ..load_options()
    };
    let server = start_with("llama-4bit", &load, server_options()).await;
    let stepper = Stepper::hold(&server.engine);
    let body = chat("Hi", json!({"max_tokens": 2}));
    let first = tokio::spawn(server.request(ROUTE, &body).send());
    server.wait_for_requests(2).await;
    let rejected = server.request(ROUTE, &body).send().await.unwrap();
    assert_eq!(rejected.status().as_u16(), 429);
    assert!(
        rejected.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    drop(stepper);
    assert_eq!(first.await.unwrap().unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn request_timeout_ends_a_completion_and_a_stream() {
    let server = start_with_limits(Limits {
        request_timeout: Duration::from_millis(50),
        ..Limits::default()
    })
    .await;
    let stepper = Stepper::hold(&server.engine);
    let (status, message) = server.error(ROUTE, &chat("Hi", json!({}))).await;
    assert_eq!(
        (status, message.contains("did not finish")),
        (504, true),
        "{message}"
    );
    let events = server
        .events(ROUTE, &chat("Hi", json!({"stream": true})))
        .await;
    let error = &events[events.len() - 2].1["error"];
    assert_eq!(error["code"], "timeout");
    drop(stepper);
}

#[tokio::test]
async fn idle_stream_sends_keepalive_comments() {
    let server = start_with_limits(Limits {
        keepalive: Duration::from_millis(10),
        ..Limits::default()
    })
    .await;
    let stepper = Stepper::hold(&server.engine);
    let mut response = server
        .request(ROUTE, &chat("Hi", json!({"stream": true, "max_tokens": 3})))
        .send()
        .await
        .unwrap();
    let mut text = String::new();
    while text.matches("\n: keepalive").count() < 2 {
        text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    drop(stepper);
    let rest = response.text().await.unwrap();
    assert_eq!(events(&rest).last().unwrap().1, "[DONE]");
}

#[tokio::test]
async fn graceful_shutdown_completes_running_requests_and_rejects_new_ones() {
    let server = start_with_limits(Limits::default()).await;
    let stepper = Stepper::hold(&server.engine);
    let body = chat("Hi", json!({"max_tokens": 5, "ignore_eos": true}));
    let running = tokio::spawn(server.request(ROUTE, &body).send());
    server.wait_for_requests(2).await;
    server.shutdown.start();
    loop {
        let (status, text) = server.get("/health").await;
        if status == 503 {
            assert!(text.contains("draining"), "{text}");
            break;
        }
    }
    let rejected = server.request(ROUTE, &body).send().await.unwrap();
    assert_eq!(rejected.status().as_u16(), 503);
    assert!(rejected.headers().contains_key("retry-after"));
    drop(stepper);
    let completion: serde_json::Value = running.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(completion["usage"]["completion_tokens"], 5);
    assert!(server.serving.await.unwrap().unwrap());
}

#[tokio::test]
async fn server_rejects_requests_while_the_model_is_loading() {
    let server = AppState::starting(server_options());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(mlxm_api::serve(
        listener,
        server,
        mlxm_api::Shutdown::default(),
        Duration::from_secs(1),
    ));
    let health = reqwest::get(format!("{url}/health")).await.unwrap();
    assert_eq!(health.status().as_u16(), 503);
    assert!(health.text().await.unwrap().contains("starting"));
    let client = reqwest::Client::new();
    let rejected = client
        .post(format!("{url}{ROUTE}"))
        .json(&chat("Hi", json!({})))
        .send()
        .await
        .unwrap();
    assert_eq!(rejected.status().as_u16(), 503);
}

#[tokio::test]
async fn request_ids_are_returned_and_requests_are_counted() {
    let server = start_with_limits(Limits::default()).await;
    let body = chat("Hi", json!({"max_tokens": 1}));
    let response = server
        .request(ROUTE, &body)
        .header("x-request-id", "mine-1")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine-1");
    let response = server
        .request(ROUTE, &body)
        .header("x-request-id", "a b")
        .send()
        .await
        .unwrap();
    assert!(
        response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .starts_with("req_")
    );
    server
        .wait_for_metric(
            "mlxm_http_requests_total{route=\"/v1/chat/completions\",status=\"200\"}",
            2.0,
        )
        .await;
    assert_eq!(server.metric("mlxm_generation_tokens_total").await, 2.0);
    let (_, text) = server.get("/metrics").await;
    let seconds = |what: &str| metric(&text, &format!("mlxm_{what}_seconds_total"));
    assert!(seconds("step") >= seconds("forward"));
}

//! What a request may take, and how a server ends.

use std::time::Duration;

use mlxm_api::{AppState, Limits};
use mlxm_engine::LoadOptions;
use serde_json::json;

use crate::stepper::Stepper;
use crate::support::{chat, events, load_options, metric, server_options, start_with};

const ROUTE: &str = "/v1/chat/completions";

async fn limited(limits: Limits) -> crate::support::Running {
    let mut options = server_options();
    options.limits = limits;
    start_with("llama-4bit", &load_options(), options).await
}

#[tokio::test]
async fn a_body_has_its_limit() {
    let server = limited(Limits {
        body_bytes: 1000,
        ..Limits::default()
    })
    .await;
    let (status, message) = server
        .refused(ROUTE, &chat(&"x".repeat(1000), json!({})))
        .await;
    assert_eq!(
        (status, message.as_str()),
        (413, "the request body is larger than this server takes")
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
async fn a_full_queue_sends_clients_away_for_a_while() {
    let load = LoadOptions {
        max_sequences: 1,
        max_queued_requests: 1,
        ..load_options()
    };
    let server = start_with("llama-4bit", &load, server_options()).await;
    let stepper = Stepper::hold(&server.engine);
    let body = chat("Hi", json!({"max_tokens": 2}));
    let first = tokio::spawn(server.request(ROUTE, &body).send());
    server.until_inside(2).await;
    let refused = server.request(ROUTE, &body).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 429);
    assert!(
        refused.headers()["retry-after"]
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
async fn an_answer_has_its_time() {
    let server = limited(Limits {
        request_timeout: Duration::from_millis(50),
        ..Limits::default()
    })
    .await;
    let stepper = Stepper::hold(&server.engine);
    let (status, message) = server.refused(ROUTE, &chat("Hi", json!({}))).await;
    assert_eq!(
        (status, message.contains("not complete")),
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
async fn a_silent_stream_is_kept_alive() {
    let server = limited(Limits {
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
async fn a_server_that_stops_finishes_what_it_began_and_takes_nothing_new() {
    let server = limited(Limits::default()).await;
    let stepper = Stepper::hold(&server.engine);
    let body = chat("Hi", json!({"max_tokens": 5, "ignore_eos": true}));
    let begun = tokio::spawn(server.request(ROUTE, &body).send());
    server.until_inside(2).await;
    server.shutdown.start();
    loop {
        let (status, text) = server.get("/health").await;
        if status == 503 {
            assert!(text.contains("draining"), "{text}");
            break;
        }
    }
    let refused = server.request(ROUTE, &body).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    drop(stepper);
    let answer: serde_json::Value = begun.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(answer["usage"]["completion_tokens"], 5);
    assert!(server.serving.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_server_without_its_model_says_so() {
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
    let refused = client
        .post(format!("{url}{ROUTE}"))
        .json(&chat("Hi", json!({})))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status().as_u16(), 503);
}

#[tokio::test]
async fn requests_have_an_id_and_are_counted() {
    let server = limited(Limits::default()).await;
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
        .until(
            "mlxm_http_requests_total{route=\"/v1/chat/completions\",status=\"200\"}",
            2.0,
        )
        .await;
    assert_eq!(server.metric("mlxm_generation_tokens_total").await, 2.0);
    let (_, text) = server.get("/metrics").await;
    let seconds = |what: &str| metric(&text, &format!("mlxm_{what}_seconds_total"));
    assert!(seconds("step") >= seconds("forward"));
}

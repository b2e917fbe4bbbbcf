//! Clients that disconnect.

use serde_json::json;

use crate::stepper::Stepper;
use crate::support::{TestServer, chat, load_options, server_options, start_with};
use mlxm_engine::LoadOptions;

const ROUTE: &str = "/v1/chat/completions";
const ABORTED: &str = "mlxm_requests_aborted_total";

async fn start_paused(load: &LoadOptions) -> (TestServer, Stepper) {
    let server = start_with("llama-4bit", load, server_options()).await;
    let stepper = Stepper::hold(&server.engine);
    (server, stepper)
}

fn long_request(text: &str) -> serde_json::Value {
    let mut body = chat(text, json!({"ignore_eos": true, "stream": true}));
    body["max_tokens"] = 150.into();
    body
}

/// Once the server has noticed the disconnect, the request takes part in at most one more step.
async fn assert_cancelled_within_one_step(server: &TestServer, stepper: &Stepper) {
    server.wait_for_metric(ABORTED, 1.0).await;
    stepper.step(2);
    let stats = server.engine.stats();
    assert_eq!((stats.requests_running, stats.requests_waiting), (1, 0));
    let used: usize = stats.groups.iter().map(|group| group.used_blocks).sum();
    assert_eq!(
        used,
        stats.groups.len(),
        "only the stepper's block in each group"
    );
}

#[tokio::test]
async fn disconnect_cancels_a_queued_request() {
    let load = LoadOptions {
        max_sequences: 1,
        ..load_options()
    };
    let (server, stepper) = start_paused(&load).await;
    let response = server
        .request(ROUTE, &long_request("Hi"))
        .send()
        .await
        .unwrap();
    server.wait_for_requests(2).await;
    stepper.step(2);
    assert_eq!(server.engine.stats().requests_waiting, 1);
    drop(response);
    assert_cancelled_within_one_step(&server, &stepper).await;
}

#[tokio::test]
async fn disconnect_cancels_a_request_during_prefill() {
    let load = LoadOptions {
        max_batch_tokens: 8,
        ..load_options()
    };
    let (server, stepper) = start_paused(&load).await;
    let response = server
        .request(ROUTE, &long_request(&"word ".repeat(16)))
        .send()
        .await
        .unwrap();
    server.wait_for_requests(2).await;
    stepper.step(3);
    let stats = server.engine.stats();
    assert_eq!(stats.requests_running, 2);
    drop(response);
    assert_cancelled_within_one_step(&server, &stepper).await;
    assert!(
        server.engine.counters().prompt_tokens < 60,
        "the prompt must not be computed completely"
    );
}

#[tokio::test]
async fn disconnect_cancels_a_stream() {
    let (server, stepper) = start_paused(&load_options()).await;
    let mut response = server
        .request(ROUTE, &long_request("Hi"))
        .send()
        .await
        .unwrap();
    server.wait_for_requests(2).await;
    stepper.step(8);
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    assert_cancelled_within_one_step(&server, &stepper).await;
}

#[tokio::test]
async fn disconnect_cancels_a_request_without_streaming() {
    let (server, stepper) = start_paused(&load_options()).await;
    let mut body = long_request("Hi");
    body["stream"] = false.into();
    let request = server.request(ROUTE, &body);
    let waiting = tokio::spawn(request.send());
    server.wait_for_requests(2).await;
    stepper.step(4);
    waiting.abort();
    assert_cancelled_within_one_step(&server, &stepper).await;
}

//! Clients that go away.

use serde_json::json;

use crate::stepper::Stepper;
use crate::support::{Running, chat, load_options, server_options, start_with};
use mlxm_engine::LoadOptions;

const ROUTE: &str = "/v1/chat/completions";
const CANCELLED: &str = "mlxm_requests_aborted_total";

async fn held(load: &LoadOptions) -> (Running, Stepper) {
    let server = start_with("llama-4bit", load, server_options()).await;
    let stepper = Stepper::hold(&server.engine);
    (server, stepper)
}

fn endless(more: &str) -> serde_json::Value {
    let mut body = chat(more, json!({"ignore_eos": true, "stream": true}));
    body["max_tokens"] = 150.into();
    body
}

/// After the server has seen that the client is gone, one more step is all that the request gets.
async fn is_gone_within_a_step(server: &Running, stepper: &Stepper) {
    server.until(CANCELLED, 1.0).await;
    stepper.step(2);
    let report = server.engine.stats();
    assert_eq!((report.requests_running, report.requests_waiting), (1, 0));
    let used: usize = report.groups.iter().map(|group| group.used_blocks).sum();
    assert_eq!(
        used,
        report.groups.len(),
        "the stepper's own block in each group"
    );
}

#[tokio::test]
async fn while_queued() {
    let load = LoadOptions {
        max_sequences: 1,
        ..load_options()
    };
    let (server, stepper) = held(&load).await;
    let response = server.request(ROUTE, &endless("Hi")).send().await.unwrap();
    server.until_inside(2).await;
    stepper.step(2);
    assert_eq!(server.engine.stats().requests_waiting, 1);
    drop(response);
    is_gone_within_a_step(&server, &stepper).await;
}

#[tokio::test]
async fn while_the_prompt_is_computed() {
    let load = LoadOptions {
        max_batch_tokens: 8,
        ..load_options()
    };
    let (server, stepper) = held(&load).await;
    let response = server
        .request(ROUTE, &endless(&"word ".repeat(16)))
        .send()
        .await
        .unwrap();
    server.until_inside(2).await;
    stepper.step(3);
    let report = server.engine.stats();
    assert_eq!(report.requests_running, 2);
    drop(response);
    is_gone_within_a_step(&server, &stepper).await;
    assert!(
        server.engine.counters().prompt_tokens < 60,
        "the prompt was not computed to its end"
    );
}

#[tokio::test]
async fn while_the_answer_is_streamed() {
    let (server, stepper) = held(&load_options()).await;
    let mut response = server.request(ROUTE, &endless("Hi")).send().await.unwrap();
    server.until_inside(2).await;
    stepper.step(8);
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    is_gone_within_a_step(&server, &stepper).await;
}

#[tokio::test]
async fn while_the_whole_answer_is_waited_for() {
    let (server, stepper) = held(&load_options()).await;
    let mut body = endless("Hi");
    body["stream"] = false.into();
    let request = server.request(ROUTE, &body);
    let waiting = tokio::spawn(request.send());
    server.until_inside(2).await;
    stepper.step(4);
    waiting.abort();
    is_gone_within_a_step(&server, &stepper).await;
}

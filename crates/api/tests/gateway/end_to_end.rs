//! The gateway in front of a real worker with a tiny checkpoint.

use std::net::SocketAddr;
use std::path::Path;

use mlxm_api::{AccessPolicy, AppState, ServerOptions};
use mlxm_engine::{Engine, LoadOptions};
use serde_json::{Value, json};

use crate::support::{MODEL, Setup};
use crate::worker::serve;

async fn start_worker() -> SocketAddr {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/golden/llama-4bit");
    let options = LoadOptions {
        threads: Some(1),
        max_sequences: 4,
        ..LoadOptions::default()
    };
    let engine = Engine::load(&directory, &options).unwrap();
    let worker = AppState::starting(ServerOptions {
        model: MODEL.to_owned(),
        access: AccessPolicy {
            api_key: Some("worker-key".to_owned()),
            loopback: true,
            ..AccessPolicy::default()
        },
        ..ServerOptions::default()
    });
    worker.ready(engine);
    serve(mlxm_api::router(worker)).await
}

#[tokio::test]
async fn every_protocol_works_through_the_gateway() {
    let gateway = Setup::default().start_at(start_worker().await).await;
    let messages = json!([{"role": "user", "content": "Hi"}]);
    for (route, mut body, last) in [
        (
            "/v1/chat/completions",
            json!({"messages": messages}),
            "data: [DONE]\n\n",
        ),
        (
            "/v1/completions",
            json!({"prompt": "Hi"}),
            "data: [DONE]\n\n",
        ),
        (
            "/v1/messages",
            json!({"messages": messages}),
            "data: {\"type\":\"message_stop\"}\n\n",
        ),
    ] {
        body["max_tokens"] = 4.into();
        let (status, text) = gateway.text(route, body.to_string()).await;
        assert_eq!(status, 200, "{text}");
        let whole: Value = serde_json::from_str(&text).unwrap();
        assert!(whole["usage"].is_object(), "{whole}");
        body["stream"] = true.into();
        let (status, text) = gateway.text(route, body.to_string()).await;
        assert_eq!(status, 200, "{text}");
        assert!(text.ends_with(last), "{text}");
    }
    let (status, text) = gateway.text("/tokenize", r#"{"prompt":"Hi"}"#).await;
    assert_eq!(status, 200, "{text}");
}

#[tokio::test]
async fn stored_responses_are_found_through_the_gateway() {
    let gateway = Setup::default().start_at(start_worker().await).await;
    let body = json!({"model": MODEL, "input": "Hi", "max_output_tokens": 4});
    let (status, text) = gateway.text("/v1/responses", body.to_string()).await;
    assert_eq!(status, 200, "{text}");
    let created: Value = serde_json::from_str(&text).unwrap();
    let id = created["id"].as_str().unwrap();
    let (status, stored) = gateway.get(&format!("/v1/responses/{id}")).await;
    assert_eq!((status, stored), (200, created.clone()));

    let mut body = body;
    body["stream"] = true.into();
    let (_, text) = gateway.text("/v1/responses", body.to_string()).await;
    let (_, rest) = text.split_once("\"id\":\"").unwrap();
    let (id, _) = rest.split_once('"').unwrap();
    let (status, items) = gateway
        .get(&format!("/v1/responses/{id}/input_items"))
        .await;
    assert_eq!(status, 200, "{items}");
}

#[tokio::test]
async fn errors_of_the_worker_have_the_format_of_their_protocol() {
    let gateway = Setup::default().start_at(start_worker().await).await;
    let (status, text) = gateway.text("/v1/messages", r#"{"messages":[]}"#).await;
    assert_eq!(status, 400);
    assert!(text.starts_with(r#"{"type":"error""#), "{text}");
    let (status, text) = gateway.text("/v1/chat/completions", "{").await;
    assert_eq!(status, 400);
    assert!(text.contains("not JSON"), "{text}");
}

//! Generations that fail after the response has started.

use serde_json::{Value, json};

use crate::stepper::Stepper;
use crate::support::{chat, events, start};

/// The events of a stream that fails after some tokens.
async fn failing_stream(route: &str, body: &Value) -> Vec<(String, Value)> {
    let server = start().await;
    let stepper = Stepper::hold(&server.engine);
    let response = server.request(route, body).send().await.unwrap();
    stepper.step(6);
    server.engine.cancel_all();
    drop(stepper);
    events(&response.text().await.unwrap())
}

#[tokio::test]
async fn failed_openai_streams_end_with_an_error_and_done() {
    let more = json!({"stream": true, "max_tokens": 200, "ignore_eos": true});
    let mut completion = more.clone();
    completion["prompt"] = "Hi".into();
    completion["model"] = "tiny".into();
    for (route, body) in [
        ("/v1/chat/completions", chat("Hi", more)),
        ("/v1/completions", completion),
    ] {
        let events = failing_stream(route, &body).await;
        let [.., (_, error), (_, done)] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(error["error"]["type"], "server_error", "{events:?}");
        assert_eq!(done, "[DONE]");
        assert!(events.len() > 3, "{events:?}");
    }
}

#[tokio::test]
async fn failed_message_streams_end_with_an_error_event() {
    let body = chat("Hi", json!({"stream": true, "max_tokens": 200}));
    let events = failing_stream("/v1/messages", &body).await;
    let (name, data) = events.last().unwrap();
    assert_eq!(name, "error");
    assert_eq!(data["error"]["type"], "api_error", "{events:?}");
}

#[tokio::test]
async fn failed_response_streams_end_with_response_failed() {
    let body = json!({"model": "tiny", "input": "Hi", "stream": true, "max_output_tokens": 200, "ignore_eos": true});
    let events = failing_stream("/v1/responses", &body).await;
    let [.., (error, _), (name, data)] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(
        (error.as_str(), name.as_str()),
        ("error", "response.failed")
    );
    assert_eq!(data["response"]["status"], "failed");
    assert!(data["response"]["error"]["message"].is_string());
    let text = data["response"]["output"][0]["content"][0]["text"].as_str();
    assert!(text.is_some_and(|text| !text.is_empty()), "{data}");
}

//! Routes about stored responses, which name no model.

use axum::http::Method;

use crate::support::{Setup, request};
use crate::worker::{TestWorker, data, event_list, json};

const STREAM: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_streamed\"}}\n\n";

#[tokio::test]
async fn stored_response_is_requested_from_the_worker_that_created_it() {
    let worker = TestWorker::start(|received| {
        if received.method == Method::POST && received.body.ends_with(b"true}") {
            event_list(vec![data(STREAM)])
        } else {
            json(r#"{"id":"resp_whole","object":"response"}"#)
        }
    })
    .await;
    let mut gateway = Setup::default().start(&worker).await;
    let (status, error) = gateway.get("/v1/responses/resp_whole").await;
    assert_eq!(status, 404);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("resp_whole"), "{message}");
    assert_eq!(gateway.record().await.status, 404);
    assert!(worker.received().is_empty());

    for stream in [false, true] {
        gateway.text("/v1/responses", request(stream)).await;
        assert_eq!(gateway.record().await.status, 200);
    }
    for path in [
        "/v1/responses/resp_whole",
        "/v1/responses/resp_streamed/input_items?limit=2",
        "/responses/resp_streamed",
    ] {
        assert_eq!(gateway.get(path).await.0, 200);
        assert_eq!(worker.received().pop().unwrap().uri, path);
        gateway.record().await;
    }
    let url = format!("{}/v1/responses/resp_whole", gateway.url);
    gateway.client.delete(url).send().await.unwrap();
    assert_eq!(worker.received().pop().unwrap().method, Method::DELETE);
    let cancel = "/v1/responses/resp_whole/cancel";
    assert_eq!(gateway.text(cancel, "").await.0, 200);
    assert_eq!(worker.received().pop().unwrap().uri, cancel);
}

#[tokio::test]
async fn responses_of_other_routes_are_not_noted() {
    let worker = TestWorker::start(|_| json(r#"{"id":"resp_1"}"#)).await;
    let mut gateway = Setup::default().start(&worker).await;
    gateway.text("/v1/chat/completions", request(false)).await;
    gateway.record().await;
    assert_eq!(gateway.get("/v1/responses/resp_1").await.0, 404);
}

//! Requests that have not ended: `/api/servers/{id}/requests`, and the topic `requests`.

use mlxm_store::Uuid;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::events::Events;
use crate::support::{TestGateway, problem, response};
use crate::worker::{COMPLETION_TOKENS, EVENT, PROMPT_TOKENS};

/// A profile whose server gets at most two requests at a time.
async fn create_profile(gateway: &TestGateway) {
    let profile = json!({"name": "one", "model": "org/small", "load": {"max_sequences": 1}});
    let (status, body) = gateway.post("/api/profiles", profile).await;
    assert_eq!(status, 201, "{body}");
}

fn completion(gateway: &TestGateway, model: &str) -> RequestBuilder {
    let messages = json!([{"role": "user", "content": "a secret"}]);
    gateway
        .request(Method::POST, "/v1/chat/completions")
        .header("user-agent", "editor/1.0")
        .json(&json!({"model": model, "stream": true, "messages": messages}))
}

/// A stream that has begun.
async fn begun(gateway: &TestGateway, model: &str) -> reqwest::Response {
    let mut response = completion(gateway, model).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let first = response.chunk().await.unwrap().unwrap();
    assert_eq!(std::str::from_utf8(&first).unwrap(), EVENT);
    response
}

/// Waits until a server has `count` requests, the last of them in this state.
async fn wait_for(gateway: &TestGateway, server: &str, count: usize, state: &str) -> Vec<Value> {
    let path = format!("/api/servers/{server}/requests");
    let reached = |body: &Value| {
        let requests = body["requests"].as_array()?;
        let is_last = requests.last().is_none_or(|last| last["state"] == state);
        (requests.len() == count && is_last).then(|| requests.clone())
    };
    gateway.wait_for(&path, reached).await
}

async fn cancel(gateway: &TestGateway, server: &str, id: &Value) -> (u16, Value) {
    let id = id.as_str().unwrap();
    let path = format!("/api/servers/{server}/requests/{id}/cancel");
    response(gateway.request(Method::POST, &path)).await
}

#[tokio::test]
async fn running_request_is_listed_and_cancelled() {
    let gateway = TestGateway::start().await;
    let stream = begun(&gateway, "small").await;
    let request = wait_for(&gateway, "org%2Fsmall", 1, "decode")
        .await
        .remove(0);
    for (field, value) in [
        ("method", json!("POST")),
        ("endpoint", json!("/v1/chat/completions")),
        ("requested", json!("small")),
        ("model", json!("org/small")),
        ("profile", Value::Null),
        ("client", json!("editor/1.0")),
        ("prompt_tokens", json!(PROMPT_TOKENS)),
        ("cached_tokens", json!(16)),
        ("computed_tokens", json!(PROMPT_TOKENS)),
        ("completion_tokens", json!(COMPLETION_TOKENS)),
    ] {
        assert_eq!(request[field], value, "{field}");
    }
    assert!(!request.to_string().contains("secret"), "{request}");

    let id = &request["id"];
    assert_eq!(
        cancel(&gateway, "org%2Fsmall", id).await,
        (204, Value::Null)
    );
    let rest = stream.text().await.unwrap();
    assert!(rest.contains("cancelled this request"), "{rest}");
    assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
    wait_for(&gateway, "org%2Fsmall", 0, "").await;
    let row = |page: &Value| page["rows"].get(0).cloned();
    let row = gateway.wait_for("/api/audit", row).await;
    assert_eq!(
        (&row["status"], &row["error_kind"]),
        (&json!(499), &json!("cancelled"))
    );
    assert_eq!(row["finish_reason"], "cancelled");
    assert_eq!(row["completion_tokens"], COMPLETION_TOKENS);
    assert_eq!(row["request_id"], request["request_id"]);

    let again = cancel(&gateway, "org%2Fsmall", id).await;
    assert_eq!(problem(&again), (404, "request_not_found", vec![]));
    let unknown = json!(Uuid::nil());
    let response = cancel(&gateway, "no-server", &unknown).await;
    assert_eq!(problem(&response), (404, "server_not_found", vec![]));
    let (status, _) = cancel(&gateway, "org%2Fsmall", &json!("x")).await;
    assert_eq!(status, 400);
    gateway.stop().await;
}

#[tokio::test]
async fn waiting_request_belongs_to_the_server_that_it_waits_for() {
    let gateway = TestGateway::start().await;
    create_profile(&gateway).await;
    let first = begun(&gateway, "one").await;
    let second = begun(&gateway, "one").await;
    let waiting = tokio::spawn(response(completion(&gateway, "one")));
    let requests = wait_for(&gateway, "one", 3, "waiting").await;
    assert_eq!(requests[2]["profile"], "one");
    assert_eq!(requests[2]["prompt_tokens"], Value::Null);
    assert!(requests.is_sorted_by_key(|request| request["id"].as_str().unwrap()));

    // That of another server is not cancelled.
    let other = begun(&gateway, "org/other").await;
    let listed = wait_for(&gateway, "org%2Fother", 1, "decode").await;
    let response = cancel(&gateway, "one", &listed[0]["id"]).await;
    assert_eq!(problem(&response), (404, "request_not_found", vec![]));

    let cancelled = cancel(&gateway, "one", &requests[2]["id"]).await;
    assert_eq!(cancelled, (204, Value::Null));
    let (status, body) = waiting.await.unwrap();
    assert_eq!((status, &body["error"]["code"]), (499, &json!("cancelled")));
    wait_for(&gateway, "one", 2, "decode").await;
    drop((first, second, other));
    wait_for(&gateway, "one", 0, "").await;
    gateway.stop().await;
}

#[tokio::test]
async fn watchers_get_the_requests_of_each_server() {
    let gateway = TestGateway::start().await;
    let mut events = Events::open(&gateway, "/api/events?topics=requests", None).await;
    let stream = begun(&gateway, "org/small").await;
    let (_, list) = gateway.get("/api/servers").await;
    let server = &list["servers"][0]["id"];
    let mut wait_for = async |count: usize| loop {
        let (id, event) = events.next().await.unwrap();
        assert_eq!((id, &event["topic"]), (None, &json!("requests")));
        let event = &event["event"];
        let requests = event["requests"].as_array().unwrap();
        if event["server"] == *server && requests.len() == count {
            return requests.clone();
        }
    };
    assert_eq!(wait_for(1).await[0]["model"], "org/small");
    drop(stream);
    wait_for(0).await;
    gateway.stop().await;
}

//! Usage of requests: trailers of streams, headers of complete bodies, and `/internal/usage`.

use mlxm_api::{RequestUsage, UsageFinish};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stepper::Stepper;
use crate::support::{KEY, TestServer, chat, start, start_owned};

const FIRST_TOKENS: &str = "mlxm_time_to_first_token_seconds_count";

/// Sends a request of the owner on a connection of its own, with further header lines.
async fn send(server: &TestServer, route: &str, headers: &str, body: &Value) -> TcpStream {
    let body = body.to_string();
    let head = format!(
        "POST {route} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    stream
}

/// The response as it was sent: head and chunks, and the lines after the last chunk.
async fn receive(mut stream: TcpStream) -> (String, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (chunks, trailer) = text.rsplit_once("\r\n0\r\n").unwrap();
    (chunks.to_owned(), trailer.to_owned())
}

/// The usage in a trailer.
fn usage_of(trailer: &str) -> RequestUsage {
    let usage = trailer.strip_prefix("x-mlxm-usage: ").unwrap();
    serde_json::from_str(usage.trim_end()).unwrap()
}

/// A stream of five tokens on each route.
fn streams() -> [(&'static str, Value); 4] {
    let more = json!({"stream": true, "max_tokens": 5, "ignore_eos": true});
    let mut completion = more.clone();
    completion["prompt"] = "Hi".into();
    let response =
        json!({"input": "Hi", "stream": true, "max_output_tokens": 5, "ignore_eos": true});
    [
        ("/v1/chat/completions", chat("Hi", more)),
        ("/v1/completions", completion),
        ("/v1/responses", response),
        (
            "/v1/messages",
            chat("Hi", json!({"stream": true, "max_tokens": 5})),
        ),
    ]
}

#[tokio::test]
async fn stream_ends_with_its_usage_if_trailers_are_accepted() {
    let server = start_owned().await;
    for (route, body) in streams() {
        let (chunks, trailer) =
            receive(send(&server, route, "te: trailers\r\n", &body).await).await;
        assert!(chunks.contains("\r\ntrailer: x-mlxm-usage\r\n"), "{chunks}");
        let usage = usage_of(&trailer);
        assert!(usage.prompt_tokens > 0, "{route}: {usage:?}");
        assert!(
            (1..=5).contains(&usage.completion_tokens),
            "{route}: {usage:?}"
        );
        if route != "/v1/messages" {
            assert_eq!(usage.completion_tokens, 5, "{route}");
            assert_eq!(usage.finish, Some(UsageFinish::Length), "{route}");
        }
        let (queue, first) = (usage.queue_ms.unwrap(), usage.first_token_ms.unwrap());
        assert!(queue <= first && first <= usage.total_ms, "{usage:?}");

        let (chunks, trailer) = receive(send(&server, route, "", &body).await).await;
        assert!(!chunks.contains("x-mlxm-usage"), "{chunks}");
        assert_eq!(trailer, "\r\n", "{route}");
    }
}

#[tokio::test]
async fn failed_stream_ends_with_its_usage_after_the_error_event() {
    for (route, mut body) in streams() {
        for limit in ["max_tokens", "max_output_tokens"] {
            if body.get(limit).is_some() {
                body[limit] = 200.into();
            }
        }
        let server = start_owned().await;
        let stepper = Stepper::hold(&server.engine);
        let stream = send(&server, route, "te: trailers\r\n", &body).await;
        server.wait_for_requests(2).await;
        stepper.step(6);
        server.engine.cancel_all();
        drop(stepper);
        let (chunks, trailer) = receive(stream).await;
        assert!(chunks.contains("error"), "{route}: {chunks}");
        let usage = usage_of(&trailer);
        assert_eq!(usage.finish, Some(UsageFinish::Error), "{route}");
        assert!(usage.completion_tokens > 0, "{route}: {usage:?}");
    }
}

/// The usage in the header of a complete response.
async fn header_of(server: &TestServer, route: &str, body: &Value) -> (u16, RequestUsage) {
    let request = server.request(route, body).bearer_auth(KEY);
    let response = request.send().await.unwrap();
    let usage = response.headers()["x-mlxm-usage"].to_str().unwrap();
    let usage = serde_json::from_str(usage).unwrap();
    (response.status().as_u16(), usage)
}

#[tokio::test]
async fn complete_body_has_its_usage_in_a_header() {
    let server = start_owned().await;
    for (route, mut body) in streams() {
        body["stream"] = false.into();
        let (status, usage) = header_of(&server, route, &body).await;
        assert_eq!(status, 200, "{route}");
        assert!(
            (1..=5).contains(&usage.completion_tokens),
            "{route}: {usage:?}"
        );
        assert!(usage.finish.is_some(), "{route}: {usage:?}");
    }
    let body = json!({"prompt": ["a b", "c"], "n": 2, "max_tokens": 3, "ignore_eos": true});
    let response = server
        .request("/v1/completions", &body)
        .bearer_auth(KEY)
        .send();
    let response = response.await.unwrap();
    let header = response.headers()["x-mlxm-usage"].clone();
    let header: RequestUsage = serde_json::from_slice(header.as_bytes()).unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!(header.completion_tokens, 12);
    assert_eq!(body["usage"]["completion_tokens"], 12);
    assert_eq!(body["usage"]["prompt_tokens"], header.prompt_tokens);
}

#[tokio::test]
async fn failed_completion_has_its_usage_in_a_header_in_each_protocol() {
    for (route, mut body) in streams() {
        body["stream"] = false.into();
        let server = start_owned().await;
        let stepper = Stepper::hold(&server.engine);
        let fail = async {
            server.wait_for_requests(2).await;
            stepper.step(3);
            server.engine.cancel_all();
            drop(stepper);
        };
        let ((status, usage), ()) = tokio::join!(header_of(&server, route, &body), fail);
        assert_eq!(status, 500, "{route}");
        assert_eq!(usage.finish, Some(UsageFinish::Error), "{route}");
    }
}

async fn internal(server: &TestServer, route: &str) -> (u16, Value) {
    let url = format!("{}/internal/{route}", server.url);
    let request = reqwest::Client::new().get(url).bearer_auth(KEY);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn usage_by_id(server: &TestServer, id: &str) -> (u16, Value) {
    internal(server, &format!("usage/{id}")).await
}

#[tokio::test]
async fn running_requests_are_listed_until_they_end() {
    let server = start_owned().await;
    let list = async || {
        let (status, body) = internal(&server, "requests").await;
        assert_eq!(status, 200, "{body}");
        body["requests"].as_array().unwrap().clone()
    };
    assert!(list().await.is_empty());
    let stepper = Stepper::hold(&server.engine);
    let body = chat(
        "Hi",
        json!({"stream": true, "max_tokens": 200, "ignore_eos": true}),
    );
    let headers = "x-mlxm-request-id: followed\r\n";
    let connection = send(&server, "/v1/chat/completions", headers, &body).await;
    server.wait_for_requests(2).await;
    let queued = list().await;
    assert_eq!(queued.len(), 1);
    assert_eq!(queued[0]["id"], "followed");
    assert_eq!(queued[0]["phase"], "queued");
    assert!(queued[0]["prompt_tokens"].as_u64() > Some(0));
    stepper.step(4);
    server.wait_for_metric(FIRST_TOKENS, 1.0).await;
    let running = list().await;
    assert_eq!(running[0]["phase"], "decode");
    assert!(running[0]["completion_tokens"].as_u64() > Some(0));
    assert_eq!(running[0]["computed_tokens"], running[0]["prompt_tokens"]);
    // The progress of the prompt is recorded, and not sent to a client that has not asked for it.
    drop(stepper);
    let (chunks, _) = receive(connection).await;
    assert!(!chunks.contains("prompt_progress"), "{chunks}");
    assert!(list().await.is_empty());
    assert_eq!(server.get("/internal/requests").await.0, 401);
}

#[tokio::test]
async fn usage_of_a_cancelled_request_is_found_by_its_id() {
    let server = start_owned().await;
    let stepper = Stepper::hold(&server.engine);
    for (id, stream, first_tokens) in [("streamed", true, 1.0), ("complete", false, 2.0)] {
        let body = chat(
            "Hi",
            json!({"stream": stream, "max_tokens": 200, "ignore_eos": true}),
        );
        // A client may have used the other id before.
        let headers = format!("x-request-id: same\r\nx-mlxm-request-id: {id}\r\n");
        let connection = send(&server, "/v1/chat/completions", &headers, &body).await;
        server.wait_for_requests(2).await;
        stepper.step(4);
        server.wait_for_metric(FIRST_TOKENS, first_tokens).await;
        drop(connection);
        let (status, usage) = usage_by_id(&server, id).await;
        assert_eq!(status, 200, "{usage}");
        let usage: RequestUsage = serde_json::from_value(usage).unwrap();
        assert_eq!(
            usage.finish,
            Some(UsageFinish::Cancelled),
            "{id}: {usage:?}"
        );
        assert!(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
        stepper.step(2);
    }
}

#[tokio::test]
async fn usage_of_a_request_in_the_queue_is_returned_after_the_timeout() {
    let server = start_owned().await;
    let stepper = Stepper::hold(&server.engine);
    let body = chat("Hi", json!({"max_tokens": 5}));
    let headers = "x-request-id: waiting\r\n";
    let connection = send(&server, "/v1/chat/completions", headers, &body).await;
    server.wait_for_requests(2).await;
    let (status, usage) = usage_by_id(&server, "waiting").await;
    assert_eq!(status, 200, "{usage}");
    assert_eq!(usage["completion_tokens"], 0);
    for missing in ["queue_ms", "first_token_ms", "finish"] {
        assert_eq!(usage[missing], Value::Null, "{usage}");
    }
    drop((connection, stepper));
    let (status, error) = usage_by_id(&server, "unknown").await;
    assert_eq!(status, 404, "{error}");
}

#[tokio::test]
async fn usage_is_not_reported_without_an_owner() {
    let server = start().await;
    let (route, body) = &streams()[0];
    let (chunks, trailer) = receive(send(&server, route, "te: trailers\r\n", body).await).await;
    assert!(!chunks.contains("x-mlxm-usage"), "{chunks}");
    assert_eq!(trailer, "\r\n");
    let (status, _) = server.get("/internal/usage/x").await;
    assert_eq!(status, 404);
}

//! Workers that fail.

use axum::body::Body;
use axum::http::StatusCode;
use http_body_util::StreamBody;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::support::{Setup, request};
use crate::worker::{self, TestWorker, data, dying, response};

/// Route, an event of its stream, and the names of the events after a failure.
const STREAMS: [(&str, &str, &[&str]); 4] = [
    (
        "/v1/chat/completions",
        "data: {\"choices\":[]}\n\n",
        &["", ""],
    ),
    ("/v1/completions", "data: {\"choices\":[]}\n\n", &["", ""]),
    (
        "/v1/messages",
        "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
        &["error"],
    ),
    (
        "/v1/responses",
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":4,\
         \"response\":{\"id\":\"resp_7\"}}\n\n",
        &["error", "response.failed"],
    ),
];

/// Name and data of the events in a text.
pub fn events(text: &str) -> Vec<(&str, Value)> {
    let parse = |event| {
        let field = |name: &str| str::lines(event).find_map(|line| line.strip_prefix(name));
        let data = field("data: ")?;
        let data = serde_json::from_str(data).unwrap_or_else(|_| data.into());
        Some((field("event: ").unwrap_or_default(), data))
    };
    text.split("\n\n").filter_map(parse).collect()
}

/// Checks the events that end a stream of the route with an error; `message` is part of it.
pub fn assert_ends_with_error(route: &str, events: &[(&str, Value)], message: &str) {
    let errors = match route {
        "/v1/messages" => vec![&events[0].1["error"]["message"]],
        "/v1/responses" => {
            assert_eq!(events[1].1["response"]["status"], "failed");
            vec![
                &events[0].1["message"],
                &events[1].1["response"]["error"]["message"],
            ]
        }
        _ => {
            assert_eq!(events[1].1, "[DONE]");
            vec![&events[0].1["error"]["message"]]
        }
    };
    for error in errors {
        let error = error.as_str().unwrap_or_default();
        assert!(error.contains(message), "{events:?}");
    }
}

#[tokio::test]
async fn stream_of_a_worker_that_dies_ends_with_the_error_of_its_protocol() {
    for (route, event, names) in STREAMS {
        let worker = TestWorker::start(move |_| {
            worker::events(dying(vec![data(event), data("data: {\"half")]))
        })
        .await;
        let mut gateway = Setup::default().start(&worker).await;
        let (status, text) = gateway.text(route, request(true)).await;
        assert_eq!(status, 200);
        let rest = text.strip_prefix(event).unwrap();
        assert!(!rest.contains("half"), "{rest}");
        let events = events(rest);
        let found: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
        assert_eq!(found, names);
        assert_ends_with_error(route, &events, "worker exited");
        if route == "/v1/messages" {
            assert_eq!(events[0].1["error"]["code"], "worker_failed");
        }
        if route == "/v1/responses" {
            assert_eq!(events[0].1["sequence_number"], 5);
            assert_eq!(events[1].1["sequence_number"], 6);
            assert_eq!(events[1].1["response"]["id"], "resp_7");
        }
        let record = gateway.record().await;
        assert_eq!((record.status, record.error), (502, Some("worker_failed")));
    }
}

#[tokio::test]
async fn whole_body_of_a_worker_that_dies_is_cut_off() {
    let worker = TestWorker::start(|_| {
        let body = StreamBody::new(dying(vec![data("{\"a")]));
        response(&[("content-type", "application/json")], Body::new(body))
    })
    .await;
    let mut gateway = Setup::default().start(&worker).await;
    let response = gateway.post("/v1/chat/completions", request(false)).send();
    assert!(response.await.unwrap().text().await.is_err());
    assert_eq!(gateway.record().await.status, 502);
}

#[tokio::test]
async fn worker_that_does_not_listen_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut gateway = Setup::default().start_at(address).await;
    let request = gateway.post("/v1/chat/completions", request(true));
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    let text = response.text().await.unwrap();
    assert!(text.contains("worker_unavailable"), "{text}");
    assert_eq!(gateway.record().await.error, Some("worker_unavailable"));
}

#[tokio::test]
async fn worker_that_dies_before_its_response_is_a_bad_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.read_u8().await.unwrap();
    });
    let mut gateway = Setup::default().start_at(address).await;
    let (status, text) = gateway.text("/v1/messages", request(false)).await;
    assert_eq!(status, 502, "{text}");
    assert!(text.starts_with(r#"{"type":"error""#), "{text}");
    assert_eq!(gateway.record().await.error, Some("worker_failed"));
}

#[tokio::test]
async fn rejected_key_of_the_gateway_is_not_the_clients_fault() {
    let worker = TestWorker::start(|_| {
        let mut response = response(&[], Body::empty());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
    })
    .await;
    let mut gateway = Setup::default().start(&worker).await;
    let (status, text) = gateway.text("/tokenize", request(false)).await;
    assert_eq!(status, 502, "{text}");
    assert_eq!(gateway.record().await.error, Some("worker_key"));
}

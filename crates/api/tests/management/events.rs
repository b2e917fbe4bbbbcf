//! Streams of events and logs over HTTP.

use std::io::Write as _;
use std::time::Duration;

use mlxm_gateway::LogFile;
use mlxm_store::Uuid;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::TestGateway;

/// Longest wait for an event.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A stream of server-sent events.
pub struct Events {
    response: Response,
    received: String,
}

impl Events {
    pub async fn open(gateway: &TestGateway, path: &str, last: Option<&str>) -> Self {
        let mut request = gateway.request(Method::GET, path);
        if let Some(id) = last {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            received: String::new(),
        }
    }

    /// The next block; `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.received.split_once("\n\n") {
                let block = block.to_owned();
                let rest = rest.to_owned();
                self.received = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(TIMEOUT, self.response.chunk()).await;
            let chunk = chunk.unwrap().unwrap()?;
            self.received.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The id and the JSON of the next event, without comments.
    pub async fn next(&mut self) -> Option<(Option<String>, Value)> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                let mut lines = block.lines();
                lines.find_map(|line| line.strip_prefix(name).map(str::to_owned))
            };
            if let Some(data) = field("data: ") {
                return Some((field("id: "), serde_json::from_str(&data).unwrap()));
            }
        }
    }

    async fn messages(&mut self, count: usize) -> Vec<String> {
        let mut messages = Vec::new();
        while messages.len() < count {
            let (_, event) = self.next().await.unwrap();
            messages.push(event["event"]["message"].as_str().unwrap().to_owned());
        }
        messages
    }
}

async fn add_alias(gateway: &TestGateway, name: &str) {
    let body = json!({"name": name, "target": "org/small"});
    let (status, response) = gateway.post("/api/aliases", body).await;
    assert_eq!(status, 200, "{response}");
}

#[tokio::test]
async fn stream_resumes_after_a_reconnect_and_ends_with_the_gateway() {
    let gateway = TestGateway::start().await;
    let path = "/api/events?topics=aliases,settings";
    let mut events = Events::open(&gateway, path, None).await;
    let first = events.block().await.unwrap();
    assert!(first.starts_with("id: "), "{first}");
    add_alias(&gateway, "a").await;
    let (id, event) = events.next().await.unwrap();
    assert_eq!(event["topic"], "aliases");
    assert_eq!(event["event"]["alias"]["name"], "a");
    drop(events);
    add_alias(&gateway, "b").await;
    let mut events = Events::open(&gateway, path, id.as_deref()).await;
    let (_, event) = events.next().await.unwrap();
    assert_eq!(event["event"]["alias"]["name"], "b");

    let mut unknown = Events::open(&gateway, path, Some("0000000000000001-5")).await;
    let (_, event) = unknown.next().await.unwrap();
    assert_eq!(event["topic"], "reset");
    assert_eq!(event["event"]["topics"], json!(["aliases", "settings"]));
    let stopping = tokio::spawn(gateway.stop());
    assert_eq!(events.next().await, None);
    assert_eq!(unknown.next().await, None);
    stopping.await.unwrap();
}

#[tokio::test]
async fn topics_are_checked() {
    let gateway = TestGateway::start().await;
    for (query, field) in [
        ("", "topics"),
        ("?topics=", "topics"),
        ("?topics=pol", "topics"),
    ] {
        let (status, problem) = gateway.get(&format!("/api/events{query}")).await;
        assert_eq!(status, 400, "{problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn log_has_its_last_lines_and_is_followed_across_a_rotation() {
    let gateway = TestGateway::start().await;
    let server = Uuid::now_v7();
    let (status, problem) = gateway.get(&format!("/api/servers/{server}/logs")).await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &json!("server_not_found"))
    );

    let log = LogFile::new(&gateway.state.options().log_directory(), server);
    let mut writer = log.open().unwrap();
    for line in 0..300 {
        let level = if line % 100 == 0 { "WARN" } else { "INFO" };
        writeln!(writer, r#"{{"level":"{level}","message":"line {line}"}}"#).unwrap();
    }
    writeln!(writer, "thread 'main' panicked").unwrap();
    let lines = |value: &Value| -> Vec<String> {
        let lines = value["lines"].as_array().unwrap().iter();
        lines
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    };
    let path = format!("/api/servers/{server}/logs");
    let (_, all) = gateway.get(&path).await;
    assert_eq!(lines(&all).len(), 200);
    assert_eq!(lines(&all)[0], "line 101");
    let (_, found) = gateway
        .get(&format!("{path}?level=warn&lines=3&search=LINE"))
        .await;
    assert_eq!(lines(&found), ["line 0", "line 100", "line 200"]);

    let mut events = Events::open(&gateway, &format!("{path}?follow=true&lines=200"), None).await;
    let history = events.messages(200).await;
    assert_eq!(history[199], "thread 'main' panicked");
    writeln!(writer, "new").unwrap();
    assert_eq!(events.messages(1).await, ["new"]);
    writeln!(writer, "before").unwrap();
    assert!(log.rotate(1).unwrap());
    writeln!(writer, "after").unwrap();
    assert_eq!(events.messages(2).await, ["before", "after"]);
    let stopping = tokio::spawn(gateway.stop());
    assert_eq!(events.next().await, None);
    stopping.await.unwrap();
}

#[tokio::test]
async fn own_log_has_a_route_and_a_topic() {
    let gateway = TestGateway::start().await;
    let log = gateway.state.log_files().own().unwrap().clone();
    let mut writer = log.open().unwrap();
    writeln!(writer, r#"{{"level":"WARN","message":"slow"}}"#).unwrap();
    writeln!(writer, r#"{{"level":"INFO","message":"Fast"}}"#).unwrap();
    let (status, lines) = gateway.get("/api/logs").await;
    assert_eq!(status, 200, "{lines}");
    assert_eq!(lines["lines"][1]["message"], "Fast");
    assert_eq!(lines["lines"][1]["server"], Value::Null);
    let (_, found) = gateway.get("/api/logs?search=fast&level=info").await;
    assert_eq!(found["lines"].as_array().unwrap().len(), 1, "{found}");
    let (status, problem) = gateway.get("/api/logs?lines=10001").await;
    assert_eq!(
        (status, &problem["errors"][0]["field"]),
        (400, &json!("lines"))
    );

    let mut topic = Events::open(&gateway, "/api/events?topics=logs:gateway", None).await;
    let mut followed = Events::open(&gateway, "/api/logs?follow=true&level=warn", None).await;
    assert_eq!(topic.messages(2).await, ["slow", "Fast"]);
    assert_eq!(followed.messages(1).await, ["slow"]);
    writeln!(writer, r#"{{"level":"INFO","message":"new"}}"#).unwrap();
    writeln!(writer, r#"{{"level":"ERROR","message":"newer"}}"#).unwrap();
    assert_eq!(topic.messages(2).await, ["new", "newer"]);
    assert_eq!(followed.messages(1).await, ["newer"]);
    let stopping = tokio::spawn(gateway.stop());
    assert_eq!(topic.next().await, None);
    stopping.await.unwrap();
}

//! `/api/servers/{id}/metrics`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::events::Events;
use crate::support::{TestGateway, problem, response};

const PATH: &str = "/api/servers/org%2Fsmall/metrics";

/// Waits until there are so many measurements.
async fn samples(gateway: &TestGateway, path: &str, count: usize) -> Vec<Value> {
    let enough = |body: &Value| {
        let samples = body["samples"].as_array()?;
        (samples.len() >= count).then(|| samples.clone())
    };
    gateway.wait_for(path, enough).await
}

#[tokio::test]
async fn measurements_are_kept_across_a_restart_of_the_server() {
    let gateway = TestGateway::start().await;
    // While someone watches, there is one every second.
    let watcher = Events::open(&gateway, "/api/events?topics=servers", None).await;
    let (status, started) = gateway
        .post("/api/servers", json!({"model": "org/small"}))
        .await;
    assert_eq!(status, 202, "{started}");
    let is_measured = |body: &Value| {
        let samples = body["samples"].as_array()?;
        let is_ready = |sample: &&Value| sample["waiting"] == 3;
        samples.iter().find(is_ready).cloned()
    };
    let measured = gateway.wait_for(PATH, is_measured).await;
    assert_eq!(measured["completion_tokens_total"], 12);
    assert_eq!(
        (&measured["kv_blocks_used"], &measured["kv_blocks_total"]),
        (&json!(2), &json!(8))
    );
    let before = samples(&gateway, PATH, 2).await;
    let times: Vec<i64> = before
        .iter()
        .map(|sample| sample["at_ms"].as_i64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");

    let id = started["server"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/servers/{id}/restart?now=true");
    let (status, body) = response(gateway.request(Method::POST, &path)).await;
    assert_eq!(status, 202, "{body}");
    let is_replaced = |list: &Value| {
        let server = list["servers"].get(0)?;
        (server["id"] != *id && server["state"] == "ready").then_some(())
    };
    gateway.wait_for("/api/servers", is_replaced).await;
    let after = samples(&gateway, PATH, before.len() + 1).await;
    assert_eq!(after[..before.len()], before[..]);
    drop(watcher);
    gateway.stop().await;
}

#[tokio::test]
async fn range_is_15_minutes_or_24_hours() {
    let gateway = TestGateway::start().await;
    let watcher = Events::open(&gateway, "/api/events?topics=servers", None).await;
    let (status, _) = gateway
        .post("/api/servers", json!({"model": "org/small"}))
        .await;
    assert_eq!(status, 202);
    let (_, list) = gateway.get("/api/servers").await;
    let (status, body) = gateway.get(&format!("{PATH}?range=15m")).await;
    assert_eq!((status, &body["range"]), (200, &json!("15m")));
    assert_eq!(body["server"], list["servers"][0]["id"]);
    let minutes = samples(&gateway, &format!("{PATH}?range=24h"), 1).await;
    assert_eq!(minutes[0]["at_ms"].as_i64().unwrap() % 60_000, 0);
    let invalid = gateway.get(&format!("{PATH}?range=1h")).await;
    assert_eq!(problem(&invalid), (400, "invalid_request", vec!["range"]));
    let unknown = gateway.get("/api/servers/no-server/metrics").await;
    assert_eq!(problem(&unknown), (404, "server_not_found", vec![]));
    drop(watcher);
    gateway.stop().await;
}

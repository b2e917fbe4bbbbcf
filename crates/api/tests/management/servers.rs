//! `/api/servers` and `/api/pool`.

use std::time::Duration;

use mlxm_api::gateway::pool_target;
use mlxm_gateway::{AcquireRequest, Class, Lease, UserId};
use mlxm_store::Uuid;
use serde_json::{Value, json};

use crate::support::{BUDGET, TestGateway, problem};

async fn start(gateway: &TestGateway, body: Value) -> Value {
    let (status, started) = gateway.post("/api/servers", body).await;
    assert_eq!(status, 202, "{started}");
    started
}

/// Waits until the only server has a state, and no requests: a start is one.
async fn wait_for_state(gateway: &TestGateway, state: &str) -> Value {
    let ready = |list: &Value| {
        let server = list["servers"].get(0)?;
        (server["state"] == state && server["running"] == 0).then(|| server.clone())
    };
    gateway.wait_for("/api/servers", ready).await
}

async fn wait_until_empty(gateway: &TestGateway) {
    let empty = |list: &Value| list["servers"].as_array().unwrap().is_empty().then_some(());
    gateway.wait_for("/api/servers", empty).await;
}

/// A running request.
async fn lease(gateway: &TestGateway, model: &str) -> Lease {
    let state = &gateway.state;
    let request = AcquireRequest {
        target: pool_target(&state.snapshot(), state.settings(), model, None).unwrap(),
        user: UserId(Uuid::nil()),
        class: Class::Normal,
        queue_timeout: Duration::from_mins(1),
    };
    state.pool().acquire(request).await.unwrap()
}

#[tokio::test]
async fn server_is_started_and_stopped() {
    let gateway = TestGateway::start().await;
    let profile =
        json!({"name": "coder", "model": "org/small", "load": {"kv_cache_dtype": "int8"}});
    gateway.post("/api/profiles", profile).await;
    let started = start(&gateway, json!({"profile": "coder", "ttl_seconds": 60})).await;
    assert_eq!(started["plan"]["outcome"], "fits");
    assert_eq!(started["plan"]["size"]["plan_bytes"], 400);
    let id = started["server"]["id"].as_str().unwrap().to_owned();

    let server = wait_for_state(&gateway, "ready").await;
    assert_eq!(server["id"], id);
    assert_eq!(server["name"], "org/small");
    assert_eq!(server["profiles"], json!(["coder"]));
    assert_eq!(server["settings"]["kv_cache_dtype"], "int8");
    assert_eq!(server["capabilities"], json!({"chat": true}));
    assert_eq!(server["ttl_seconds"], 60);
    for name in [&*id, "coder", "org%2Fsmall"] {
        let (status, found) = gateway.get(&format!("/api/servers/{name}")).await;
        assert_eq!((status, &found["id"]), (200, &json!(id)), "{name}");
    }
    let (_, pool) = gateway.get("/api/pool").await;
    assert_eq!(
        (&pool["budget_bytes"], &pool["used_bytes"]),
        (&json!(BUDGET), &json!(400))
    );

    // A second start is the same server.
    let again = start(&gateway, json!({"profile": "coder"})).await;
    assert_eq!(again["plan"]["outcome"], "ready");
    assert_eq!(again["server"]["id"], id);
    wait_for_state(&gateway, "ready").await;

    let (status, stopped) = gateway.delete("/api/servers/coder").await;
    assert_eq!(status, 202, "{stopped}");
    wait_until_empty(&gateway).await;
    let response = gateway.delete(&format!("/api/servers/{id}")).await;
    assert_eq!(problem(&response), (404, "server_not_found", vec![]));
    gateway.stop().await;
}

#[tokio::test]
async fn plans_say_what_a_start_would_do() {
    let gateway = TestGateway::start().await;
    let plan = async |model: &str| {
        let (status, plan) = gateway
            .post("/api/pool/plan", json!({"model": model}))
            .await;
        assert_eq!(status, 200, "{plan}");
        plan
    };
    let medium = plan("org/medium").await;
    assert_eq!(medium["outcome"], "fits");
    assert_eq!(
        medium["memory"],
        json!({"weights_bytes": 350, "kv_pool_bytes": 280, "scratch_bytes": 70})
    );
    let huge = plan("org/huge").await;
    assert_eq!(
        (&huge["outcome"], &huge["code"]),
        (&json!("rejected"), &json!("model_does_not_fit"))
    );
    assert_eq!(
        (&huge["largest_context"], &huge["memory"]),
        (&json!(16), &Value::Null)
    );

    start(&gateway, json!({"model": "org/small"})).await;
    let server = wait_for_state(&gateway, "ready").await;
    let small = plan("org/small").await;
    assert_eq!(small["outcome"], "ready");
    assert_eq!(small["memory"]["kv_pool_bytes"], 160);
    assert_eq!(plan("org/other").await["outcome"], "fits");
    let evicts = plan("org/medium").await;
    assert_eq!(evicts["outcome"], "evicts", "{evicts}");
    assert_eq!(evicts["holders"][0]["id"], server["id"]);
    assert!(
        evicts["message"].as_str().unwrap().contains("org/small"),
        "{evicts}"
    );
    // A dry run of a start is the same plan, and starts nothing.
    let body = json!({"model": "org/medium", "dry_run": true});
    let (status, response) = gateway.post("/api/servers", body).await;
    assert_eq!(
        (status, &response["plan"]["outcome"]),
        (200, &json!("evicts")),
        "{response}"
    );
    assert_eq!(response["server"], Value::Null);

    let (_, pinned) = gateway
        .post("/api/servers/org%2Fsmall/pin", json!({"pinned": true}))
        .await;
    assert_eq!(pinned["pinned"], true, "{pinned}");
    let rejected = plan("org/medium").await;
    assert_eq!(rejected["code"], "memory_pinned", "{rejected}");
    let response = gateway
        .post("/api/servers", json!({"model": "org/medium"}))
        .await;
    assert_eq!(problem(&response), (409, "memory_pinned", vec![]));
    let (_, unpinned) = gateway
        .post("/api/servers/org%2Fsmall/pin", json!({"pinned": false}))
        .await;
    assert_eq!(unpinned["pinned"], false, "{unpinned}");
    assert_eq!(plan("org/medium").await["outcome"], "evicts");
    gateway.stop().await;
}

#[tokio::test]
async fn running_requests_are_interrupted_only_on_demand() {
    let gateway = TestGateway::start().await;
    let lease = lease(&gateway, "org/small").await;
    for response in [
        gateway.delete("/api/servers/org%2Fsmall").await,
        gateway
            .post("/api/servers/org%2Fsmall/restart", json!({}))
            .await,
    ] {
        assert_eq!(problem(&response), (409, "server_busy", vec![]));
        assert!(
            response.1["detail"].as_str().unwrap().contains("1 running"),
            "{}",
            response.1
        );
    }
    let (status, stopping) = gateway.delete("/api/servers/org%2Fsmall?now=true").await;
    assert_eq!(status, 202, "{stopping}");
    drop(lease);
    wait_until_empty(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn crashed_server_is_listed_with_its_cause_until_it_is_dismissed() {
    let gateway = TestGateway::start().await;
    start(&gateway, json!({"model": "org/small"})).await;
    let server = wait_for_state(&gateway, "ready").await;
    assert_eq!(server["failure"], Value::Null);
    assert!(server["last_used_at_ms"].as_i64() >= server["started_at_ms"].as_i64());
    let kill = format!("kill -9 -{}", server["pid"]);
    let status = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert!(status.unwrap().success());

    let crashed = wait_for_state(&gateway, "failed").await;
    assert_eq!(crashed["id"], server["id"]);
    assert_eq!(crashed["pid"], Value::Null);
    assert_eq!(crashed["failure"]["code"], "killed_externally");
    assert!(
        crashed["failure"]["advice"]
            .as_str()
            .unwrap()
            .contains("smaller context")
    );
    let (_, pool) = gateway.get("/api/pool").await;
    assert_eq!(
        (&pool["used_bytes"], &pool["servers"][0]["id"]),
        (&json!(0), &server["id"])
    );
    let (status, stopped) = gateway.delete("/api/servers/org%2Fsmall").await;
    assert_eq!(status, 202, "{stopped}");
    wait_until_empty(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn restarted_server_has_the_same_settings() {
    let gateway = TestGateway::start().await;
    let settings = json!({"context_length": 64, "max_sequences": 2});
    let body = json!({"model": "org/small", "settings": settings, "pin": true});
    let started = start(&gateway, body).await;
    wait_for_state(&gateway, "ready").await;
    let (status, body) = gateway
        .post("/api/servers/org%2Fsmall/restart", json!({}))
        .await;
    assert_eq!(status, 202, "{body}");
    let old = &started["server"]["id"];
    let restarted = gateway
        .wait_for("/api/servers", |list| {
            let server = list["servers"].get(0)?;
            (server["id"] != *old && server["state"] == "ready").then(|| server.clone())
        })
        .await;
    assert_eq!(restarted["settings"], settings);
    assert_eq!(restarted["pinned"], true);
    gateway.stop().await;
}

#[tokio::test]
async fn starts_that_are_not_possible_are_rejected() {
    let gateway = TestGateway::start().await;
    for (body, expected) in [
        (json!({}), (400, "invalid_request", vec!["model"])),
        (
            json!({"model": "org/small", "profile": "x"}),
            (400, "invalid_request", vec!["model"]),
        ),
        (
            json!({"profile": "none"}),
            (404, "profile_not_found", vec![]),
        ),
        (
            json!({"model": "org/none"}),
            (404, "model_not_found", vec!["model"]),
        ),
        (
            json!({"model": "org/small", "ttl_seconds": -2}),
            (400, "invalid_request", vec!["ttl_seconds"]),
        ),
        (
            json!({"model": "org/small", "settings": {"device": "tpu"}}),
            (400, "invalid_request", vec!["settings.device"]),
        ),
        (
            json!({"model": "org/huge"}),
            (400, "model_does_not_fit", vec![]),
        ),
        (
            json!({"model": "org/broken"}),
            (400, "model_invalid", vec![]),
        ),
    ] {
        let response = gateway.post("/api/servers", body.clone()).await;
        assert_eq!(problem(&response), expected, "{body} {}", response.1);
    }
    assert_eq!(gateway.get("/api/servers").await.1, json!({"servers": []}));
    gateway.stop().await;
}

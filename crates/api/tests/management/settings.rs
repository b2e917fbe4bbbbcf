//! `/api/settings`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{BUDGET, TestGateway, problem};

fn setting<'a>(list: &'a Value, key: &str) -> &'a Value {
    let mut settings = list["settings"].as_array().unwrap().iter();
    settings.find(|setting| setting["key"] == key).unwrap()
}

#[tokio::test]
async fn settings_have_values_with_sources() {
    let gateway = TestGateway::start().await;
    let (status, list) = gateway.get("/api/settings").await;
    assert_eq!(status, 200, "{list}");
    let budget = setting(&list, "pool.memory_budget_bytes");
    assert_eq!(budget["value"], BUDGET);
    assert_eq!(
        (&budget["source"], &budget["locked"]),
        (&json!("flag"), &json!(true))
    );
    let ttl = setting(&list, "pool.ttl_seconds");
    assert_eq!(
        (&ttl["value"], &ttl["source"]),
        (&json!(1800), &json!("default"))
    );
    for setting in list["settings"].as_array().unwrap() {
        assert!(
            setting["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{setting}"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn settings_are_changed_and_reset() {
    let gateway = TestGateway::start().await;
    let patch = json!({"values": {"pool.ttl_seconds": 60, "server.cors_origins": ["http://localhost:3000"]}});
    let (status, list) = gateway.send(Method::PATCH, "/api/settings", patch).await;
    assert_eq!(status, 200, "{list}");
    let ttl = setting(&list, "pool.ttl_seconds");
    assert_eq!(
        (&ttl["value"], &ttl["source"]),
        (&json!(60), &json!("database"))
    );
    assert_eq!(ttl["restart_pending"], false);
    let origins = setting(&list, "server.cors_origins");
    assert_eq!(
        (&origins["needs_restart"], &origins["restart_pending"]),
        (&json!(true), &json!(true))
    );

    let keys = json!({"keys": ["pool.ttl_seconds", "server.cors_origins"]});
    let (status, list) = gateway.post("/api/settings/reset", keys).await;
    assert_eq!(status, 200, "{list}");
    assert_eq!(setting(&list, "pool.ttl_seconds")["source"], "default");
    assert_eq!(
        setting(&list, "server.cors_origins")["restart_pending"],
        false
    );
    gateway.stop().await;
}

#[tokio::test]
async fn changes_that_are_not_possible_change_nothing() {
    let gateway = TestGateway::start().await;
    for (values, expected) in [
        (
            json!({"pool.ttl_seconds": 1, "pool.memory_budget_bytes": 5}),
            (
                409,
                "setting_locked",
                vec!["values.pool.memory_budget_bytes"],
            ),
        ),
        (
            json!({"pool.ttl_seconds": 1, "profiles.first_port": 80}),
            (400, "invalid_request", vec!["values.profiles.first_port"]),
        ),
        (
            json!({"pool.ttl_seconds": "1"}),
            (400, "invalid_request", vec!["values.pool.ttl_seconds"]),
        ),
        (
            json!({"pool.ttl_seconds": 1, "pool.ttl": 1}),
            (404, "setting_not_found", vec!["values.pool.ttl"]),
        ),
    ] {
        let body = json!({"values": values});
        let response = gateway.send(Method::PATCH, "/api/settings", body).await;
        assert_eq!(problem(&response), expected, "{values}");
        let (_, list) = gateway.get("/api/settings").await;
        assert_eq!(setting(&list, "pool.ttl_seconds")["source"], "default");
    }
    gateway.stop().await;
}

//! `/api/aliases`.

use serde_json::json;

use crate::support::{TestGateway, problem};

#[tokio::test]
async fn alias_is_set_changed_and_deleted() {
    let gateway = TestGateway::start().await;
    let (status, created) = gateway
        .post(
            "/api/aliases",
            json!({"name": "claude-*haiku*", "target": "org/small"}),
        )
        .await;
    assert_eq!(
        (status, &created["target"]),
        (200, &json!("org/small")),
        "{created}"
    );
    let (status, changed) = gateway
        .post(
            "/api/aliases",
            json!({"name": "claude-*haiku*", "target": "org/other"}),
        )
        .await;
    assert_eq!((status, &changed["id"]), (200, &created["id"]), "{changed}");
    let (status, list) = gateway.get("/api/aliases").await;
    assert_eq!((status, list), (200, json!({"aliases": [changed]})));

    let (status, plan) = gateway
        .post("/api/pool/plan", json!({"model": "claude-haiku-4-5"}))
        .await;
    assert_eq!(
        (status, &plan["model"]),
        (200, &json!("org/other")),
        "{plan}"
    );

    let path = "/api/aliases/claude-*haiku*";
    assert_eq!(gateway.delete(path).await, (204, json!(null)));
    assert_eq!(problem(&gateway.delete(path).await).1, "alias_not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn invalid_aliases_are_rejected_by_field() {
    let gateway = TestGateway::start().await;
    for (body, field) in [
        (json!({"name": "[", "target": "org/small"}), "name"),
        (json!({"name": "", "target": "org/small"}), "name"),
        (json!({"name": "fast", "target": " "}), "target"),
        (json!({"name": "fast"}), "target"),
        (json!({"name": "fast", "target": "x", "glob": true}), "glob"),
    ] {
        let response = gateway.post("/api/aliases", body.clone()).await;
        assert_eq!(
            problem(&response),
            (400, "invalid_request", vec![field]),
            "{body}"
        );
    }
    gateway.stop().await;
}

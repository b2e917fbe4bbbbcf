//! `/api/system` and `/api/openapi.json`.

use serde_json::json;

use crate::support::{BUDGET, TestGateway};

#[tokio::test]
async fn machine_and_gateway_are_described() {
    let gateway = TestGateway::start().await;
    let (status, info) = gateway.get("/api/system/info").await;
    assert_eq!(status, 200, "{info}");
    assert_eq!(info["pid"], std::process::id());
    assert_eq!(info["gateway_id"], gateway.state.id().to_string());
    assert_eq!(info["address"], gateway.state.address().to_string());
    assert_eq!(info["os"], std::env::consts::OS);
    assert!(info["cpus"].as_u64().unwrap() > 0, "{info}");
    assert!(
        info["database"].as_str().unwrap().ends_with("mlxm.db"),
        "{info}"
    );

    let (status, memory) = gateway.get("/api/system/memory").await;
    assert_eq!(status, 200, "{memory}");
    assert_eq!(
        (&memory["budget_bytes"], &memory["used_bytes"]),
        (&json!(BUDGET), &json!(0))
    );
    assert!(
        memory["gateway_resident_bytes"].as_u64().unwrap() > 0,
        "{memory}"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn doctor_names_what_is_wrong_and_what_to_do() {
    let gateway = TestGateway::start().await;
    let (status, doctor) = gateway.get("/api/system/doctor").await;
    assert_eq!(status, 200, "{doctor}");
    assert_eq!(doctor["healthy"], true, "{doctor}");
    let check = |name: &str| {
        let mut checks = doctor["checks"].as_array().unwrap().iter();
        checks.find(|check| check["name"] == name).unwrap().clone()
    };
    assert_eq!(check("database")["status"], "ok");
    // The hub is offline, and the budget is tiny.
    for name in ["hub", "memory"] {
        assert_eq!(check(name)["status"], "warning", "{doctor}");
        assert!(check(name)["advice"].is_string(), "{doctor}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn document_is_openapi_3_1() {
    let gateway = TestGateway::start().await;
    let (status, document) = gateway.get("/api/openapi.json").await;
    assert_eq!(status, 200);
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/servers"]["post"].is_object());
    gateway.stop().await;
}

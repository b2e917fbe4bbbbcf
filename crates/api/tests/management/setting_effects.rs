//! What each setting changes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use mlxm_api::gateway::pool_target;
use mlxm_gateway::{AcquireRequest, Class, Lease, LogFile, UserId};
use mlxm_store::{Uuid, now_ms, requests};
use reqwest::Method;
use serde_json::{Value, json};

use crate::audit::{START_MS, row};
use crate::support::{BUDGET, TestGateway, write_model};

const DAY: Duration = Duration::from_hours(24);

async fn set(gateway: &TestGateway, key: &str, value: Value) {
    let patch = json!({"values": {key: value}});
    let (status, list) = gateway.send(Method::PATCH, "/api/settings", patch).await;
    assert_eq!(status, 200, "{list}");
}

fn has_model(list: &Value, name: &str) -> bool {
    let mut models = list["models"].as_array().unwrap().iter();
    models.any(|model| model["name"].as_str().unwrap().ends_with(name))
}

/// A running request, with the time to live of the setting.
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

/// The server of a model, when the list has it.
async fn server(gateway: &TestGateway, model: &str) -> Value {
    let find = |list: &Value| {
        let mut servers = list["servers"].as_array().unwrap().iter();
        servers.find(|server| server["name"] == model).cloned()
    };
    gateway.wait_for("/api/servers", find).await
}

#[tokio::test]
async fn cache_directory_has_the_models_of_the_hub() {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--org--cached");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    write_model(&repo.join("snapshots").join(commit), 400);
    std::fs::create_dir_all(repo.join("refs")).unwrap();
    std::fs::write(repo.join("refs/main"), commit).unwrap();
    let path = cache.path().to_str().unwrap().to_owned();
    let gateway = TestGateway::start_with(&[("models.cache_directory", path)]).await;
    let (_, list) = gateway.get("/api/models/local").await;
    assert!(has_model(&list, "org/cached"), "{list}");
    gateway.stop().await;
}

#[tokio::test]
async fn models_of_a_folder_are_found_and_left_out_again() {
    let folder = tempfile::tempdir().unwrap();
    write_model(&folder.path().join("extra"), 400);
    let gateway = TestGateway::start().await;
    let (_, list) = gateway.get("/api/models/local").await;
    assert!(!has_model(&list, "extra"), "{list}");
    set(&gateway, "models.folders", json!([folder.path()])).await;
    let found = |list: &Value| has_model(list, "extra").then_some(());
    gateway.wait_for("/api/models/local", found).await;
    set(&gateway, "models.folders", json!([])).await;
    let lost = |list: &Value| (!has_model(list, "extra")).then_some(());
    gateway.wait_for("/api/models/local", lost).await;
    gateway.stop().await;
}

#[tokio::test]
async fn memory_budget_is_a_part_of_the_memory_or_the_setting() {
    let gateway = TestGateway::start_with(&[]).await;
    let limits = mlxm_machine::MemoryLimits::read();
    let expected = limits.smallest().unwrap().bytes / 5 * 4;
    let (_, memory) = gateway.get("/api/system/memory").await;
    assert_eq!(memory["budget_bytes"], expected);
    set(&gateway, "pool.memory_budget_bytes", json!(BUDGET)).await;
    let changed = |memory: &Value| (memory["budget_bytes"] == BUDGET).then_some(());
    gateway.wait_for("/api/system/memory", changed).await;
    let (status, problem) = gateway
        .post("/api/servers", json!({"model": "org/huge"}))
        .await;
    assert_eq!(
        (status, &problem["code"]),
        (400, &json!("model_does_not_fit"))
    );
    gateway.stop().await;
}

#[tokio::test]
async fn time_to_live_is_that_of_the_setting() {
    let gateway = TestGateway::start().await;
    drop(lease(&gateway, "org/small").await);
    assert_eq!(server(&gateway, "org/small").await["ttl_seconds"], 1800);
    set(&gateway, "pool.ttl_seconds", json!(90)).await;
    drop(lease(&gateway, "org/other").await);
    assert_eq!(server(&gateway, "org/other").await["ttl_seconds"], 90);
    set(&gateway, "pool.ttl_seconds", json!(0)).await;
    drop(lease(&gateway, "org/other").await);
    let only_small = |list: &Value| {
        let servers = list["servers"].as_array().unwrap();
        (servers.len() == 1 && servers[0]["name"] == "org/small").then_some(())
    };
    gateway.wait_for("/api/servers", only_small).await;
    gateway.stop().await;
}

#[tokio::test]
async fn request_waits_for_memory_as_long_as_the_setting_says() {
    let gateway = TestGateway::start().await;
    set(&gateway, "pool.queue_timeout_seconds", json!(1)).await;
    let busy = lease(&gateway, "org/medium").await;
    let body = json!({"model": "org/small", "messages": []});
    let (status, error) = gateway.post("/v1/chat/completions", body).await;
    assert_eq!(status, 503, "{error}");
    assert_eq!(error["error"]["code"], "queue_timeout", "{error}");
    drop(busy);
    gateway.stop().await;
}

#[tokio::test]
async fn models_are_checked_in_the_interval_of_the_setting() {
    let interval = ("servers.health_interval_seconds", "1".to_owned());
    let gateway = TestGateway::start_with(&[interval]).await;
    drop(lease(&gateway, "org/small").await);
    let (before, started) = (gateway.health_checks(), Instant::now());
    while gateway.health_checks() < before + 4 {
        // Four checks take at least 15 s by default.
        assert!(started.elapsed() < Duration::from_secs(12));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn audit_rows_are_deleted_after_the_retention() {
    let gateway = TestGateway::start().await;
    let two_days_ago = now_ms() - 2 * DAY.as_millis() as i64 - START_MS;
    let rows = [row(two_days_ago), row(7)];
    requests::insert(gateway.state.store(), &rows)
        .await
        .unwrap();
    let (_, page) = gateway.get("/api/audit").await;
    assert_eq!(page["rows"].as_array().unwrap().len(), 2, "{page}");
    set(&gateway, "audit.retention_days", json!(1)).await;
    let newer = |page: &Value| {
        let rows = page["rows"].as_array().unwrap();
        (rows.len() == 1 && rows[0]["at_ms"] == START_MS + 7).then_some(())
    };
    gateway.wait_for("/api/audit", newer).await;
    gateway.stop().await;
}

/// The log of a server that was last written at this time.
fn log(directory: &Path, age: Duration) -> PathBuf {
    let log = LogFile::new(directory, Uuid::now_v7());
    let file = log.open().unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
    log.path().to_owned()
}

#[tokio::test]
async fn logs_of_stopped_models_are_deleted_after_the_retention() {
    let gateway = TestGateway::start().await;
    let directory = gateway.state.options().log_directory();
    let (old, new) = (log(&directory, 2 * DAY), log(&directory, DAY / 2));
    set(&gateway, "logs.retention_days", json!(1)).await;
    let deleted = |_: &Value| (!old.exists()).then_some(());
    gateway.wait_for("/api/settings", deleted).await;
    assert!(new.exists());
    gateway.stop().await;
}

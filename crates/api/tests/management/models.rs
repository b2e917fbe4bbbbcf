//! Models on this machine over HTTP.

use std::fs;
use std::os::unix::fs::symlink;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestGateway, write_model};

#[tokio::test]
async fn local_models_are_listed_described_and_verified_without_the_hub() {
    let gateway = TestGateway::start().await;
    let (status, list) = gateway.get("/api/models/local").await;
    assert_eq!(status, 200, "{list}");
    let names: Vec<_> = list["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"org/small") && names.is_sorted(),
        "{names:?}"
    );
    let (status, model) = gateway.get("/api/models/org%2Fsmall").await;
    assert_eq!(status, 200, "{model}");
    assert_eq!(model["local"]["source"], "models_dir");
    assert_eq!(model["remote"], json!(null));
    assert!(!model["files"].as_array().unwrap().is_empty());
    let (status, checked) = gateway
        .post("/api/models/org%2Fsmall/verify", json!({}))
        .await;
    assert_eq!((status, &checked["name"]), (200, &json!("org/small")));
    let (status, problem) = gateway.get("/api/models/none").await;
    assert_eq!((status, &problem["code"]), (404, &json!("model_not_found")));
    let (status, problem) = gateway.get("/api/models/search?query=x").await;
    assert_eq!((status, &problem["code"]), (503, &json!("hub_offline")));
    gateway.stop().await;
}

#[tokio::test]
async fn model_that_a_profile_uses_is_removed_only_with_force() {
    let gateway = TestGateway::start().await;
    let profile = json!({"name": "mine", "model": "org/small"});
    let (status, created) = gateway.post("/api/profiles", profile).await;
    assert_eq!(status, 201, "{created}");
    let (status, problem) = gateway.delete("/api/models/org%2Fsmall").await;
    assert_eq!((status, &problem["code"]), (409, &json!("model_busy")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("profile mine"), "{detail}");
    let (status, removed) = gateway.delete("/api/models/org%2Fsmall?force=true").await;
    assert_eq!(status, 200, "{removed}");
    assert!(removed["freed_bytes"].as_u64().unwrap() > 0);
    let (status, _) = gateway.delete("/api/models/org%2Fsmall").await;
    assert_eq!(status, 404);
    let missing = gateway.request(Method::DELETE, "/api/downloads/x").send();
    assert_eq!(missing.await.unwrap().status(), 404);
    gateway.stop().await;
}

/// The local model with this name, once the gateway has found it.
async fn found(gateway: &TestGateway, name: &str) -> Value {
    let of_name = |list: &Value| {
        let models = list["models"].as_array()?;
        models.iter().find(|model| model["name"] == name).cloned()
    };
    gateway.wait_for("/api/models/local", of_name).await
}

#[tokio::test]
async fn pipes_and_devices_in_place_of_files_stop_nothing() {
    let gateway = TestGateway::start().await;
    let models = gateway.home().join("models");
    for (name, file) in [
        ("pipe", "config.json"),
        ("index", "model.safetensors.index.json"),
        ("text", "tokenizer_config.json"),
    ] {
        let folder = models.join("trap").join(name);
        write_model(&folder, 100);
        let path = folder.join(file);
        let _ = fs::remove_file(&path);
        let status = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(status.unwrap().success());
        symlink("/dev/zero", folder.join("README.md")).unwrap();
        symlink(&models, folder.join("circle")).unwrap();
    }
    for name in ["trap/pipe", "trap/index", "trap/text"] {
        let model = found(&gateway, name).await;
        assert_eq!(model["complete"], false, "{model}");
        let path = format!("/api/models/{}", name.replace('/', "%2F"));
        let (status, model) = gateway.get(&path).await;
        assert_eq!((status, &model["readme"]), (200, &Value::Null));
        let (status, verified) = gateway.post(&format!("{path}/verify"), json!({})).await;
        assert_eq!((status, &verified["intact"]), (200, &json!(false)));
        let (status, _) = gateway.post("/api/servers", json!({"model": name})).await;
        assert_eq!(status, 404);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn files_outside_of_a_model_are_neither_shown_nor_removed() {
    let gateway = TestGateway::start().await;
    let (home, models) = (gateway.home(), gateway.home().join("models"));
    fs::write(home.join("diary"), "a secret").unwrap();
    symlink(home.join("diary"), models.join("org/small/README.md")).unwrap();
    symlink("../../../diary", models.join("org/other/README.md")).unwrap();
    for name in ["small", "other"] {
        let (status, model) = gateway.get(&format!("/api/models/org%2F{name}")).await;
        assert_eq!((status, &model["readme"]), (200, &Value::Null));
    }

    write_model(&home.join("elsewhere/model"), 100);
    symlink(home.join("elsewhere"), models.join("linked")).unwrap();
    symlink(home.join("elsewhere/model"), models.join("link")).unwrap();
    found(&gateway, "linked/model").await;
    let (status, problem) = gateway.delete("/api/models/linked%2Fmodel").await;
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")));
    found(&gateway, "link").await;
    let (status, removed) = gateway.delete("/api/models/link").await;
    assert_eq!((status, &removed["freed_bytes"]), (200, &json!(0)));
    assert!(!models.join("link").exists());
    assert!(home.join("elsewhere/model/config.json").exists());
    gateway.stop().await;
}

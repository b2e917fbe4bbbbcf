//! `/v1/models` and the names of models.

use mlxm_api::gateway::proxy::{Alias, Capabilities, Catalog, LocalModel, ModelDetails, Profile};
use serde_json::{Value, json};

use crate::support::{Setup, request};
use crate::worker::{TestWorker, json as whole};

fn catalog() -> Catalog {
    let details = ModelDetails {
        context_length: 32768,
        architecture: "qwen3".to_owned(),
        parameters: 600_000_000,
        capabilities: Capabilities {
            chat: true,
            ..Capabilities::default()
        },
    };
    let model = |id: &str, details: Option<ModelDetails>, loaded: bool| LocalModel {
        id: id.to_owned(),
        created: 1_700_000_000,
        details,
        loaded,
    };
    Catalog {
        profiles: vec![Profile {
            name: "short".to_owned(),
            model: "org/qwen".to_owned(),
            context_length: Some(4096),
            defaults: None,
            loaded: false,
        }],
        aliases: vec![
            Alias::new("gpt-4o", "short").unwrap(),
            Alias::new("gone", "org/removed").unwrap(),
            Alias::new("claude-*", "org/qwen").unwrap(),
        ],
        models: vec![
            model("org/qwen", Some(details), true),
            model("new", None, false),
        ],
    }
}

#[tokio::test]
async fn models_have_every_field_that_clients_look_for_and_none_is_started() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let setup = Setup {
        catalog: catalog(),
        ..Setup::default()
    };
    let mut gateway = setup.start(&worker).await;
    let (status, list) = gateway.get("/v1/models").await;
    assert_eq!(status, 200);
    let data = list["data"].as_array().unwrap();
    let ids: Vec<&Value> = data.iter().map(|entry| &entry["id"]).collect();
    assert_eq!(ids, ["short", "gpt-4o", "org/qwen", "new"]);
    assert_eq!(list["first_id"], "short");
    assert_eq!(list["last_id"], "new");
    for (entry, context_length, loaded) in [(0, 4096, false), (1, 4096, false), (2, 32768, true)] {
        let entry = &data[entry];
        for field in [
            "context_length",
            "max_model_len",
            "max_input_tokens",
            "max_tokens",
        ] {
            assert_eq!(entry[field], context_length, "{entry}");
        }
        assert_eq!(entry["meta"]["n_ctx"], context_length);
        assert_eq!(entry["root"], "org/qwen");
        assert_eq!(entry["loaded"], loaded);
        assert_eq!(entry["created_at"], "2023-11-14T22:13:20Z");
    }
    assert_eq!(data[3]["context_length"], Value::Null);
    assert_eq!(data[3]["loaded"], false);

    let (status, entry) = gateway.get("/models/claude-opus").await;
    assert_eq!(status, 200);
    assert_eq!(entry["id"], "claude-opus");
    assert_eq!(entry["root"], "org/qwen");
    assert_eq!(gateway.get("/v1/models/org/qwen").await.1["id"], "org/qwen");
    let (status, error) = gateway.get("/v1/models/org/absent").await;
    assert_eq!(status, 404);
    assert_eq!(error["error"]["code"], "model_not_found");
    assert!(worker.received().is_empty());
    assert!(gateway.targets.try_recv().is_err());
}

#[tokio::test]
async fn unknown_routes_and_methods_are_errors_in_json() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let gateway = Setup::default().start(&worker).await;
    let (status, error) = gateway.get("/v1/chat/complete").await;
    assert_eq!(status, 404);
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("/v1/chat/complete"), "{message}");
    assert_eq!(gateway.get("/v1/chat/completions").await.0, 405);
    let (status, _) = gateway.text("/internal/owner", request(false)).await;
    assert_eq!(status, 404);
    assert!(worker.received().is_empty());
}

#[tokio::test]
async fn record_has_the_requested_name_of_an_unknown_model() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let setup = Setup {
        catalog: catalog(),
        ..Setup::default()
    };
    let mut gateway = setup.start(&worker).await;
    for (name, status, recorded) in [
        (json!("org/absent"), 404, Some("org/absent")),
        (json!("gone"), 404, Some("gone")),
        (json!("a\u{1b}[2J\n"), 404, Some("a\u{fffd}[2J\u{fffd}")),
        (json!("x".repeat(1025)), 400, None),
        (Value::Null, 400, None),
    ] {
        let body = json!({"model": name, "messages": []}).to_string();
        assert_eq!(
            gateway.text("/v1/chat/completions", body).await.0,
            status,
            "{name}"
        );
        let record = gateway.record().await;
        assert_eq!(record.model.as_deref(), recorded, "{name}");
        assert_eq!((record.status, record.worker), (status, None));
    }
    assert!(worker.received().is_empty());
}

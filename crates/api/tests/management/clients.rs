//! `/api/clients`: configurations of programs, and what they have sent.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use crate::events::Events;
use crate::support::{TestGateway, problem, response};

/// Describes a model as one with a chat template and this context.
fn describe_model(gateway: &TestGateway, name: &str, context_length: u64) {
    let size = json!({"context_length": 64, "kv_pool_tokens": 64, "total_bytes": 400});
    let show = json!({
        "architecture": "llama", "parameters": 1, "chat_template": true,
        "memory": {
            "context_length": context_length, "cache_sizes": [size], "largest_context_in_budget": 16, "weights_bytes": 200,
            "scratch_bytes": 40,
        },
    });
    let directory = gateway.home().join("models").join(name);
    fs::write(directory.join("show"), show.to_string()).unwrap();
    // A changed file, so that the model is described again.
    fs::write(
        directory.join("config.json"),
        r#"{"model_type": "llama", "a": 1}"#,
    )
    .unwrap();
}

#[tokio::test]
async fn every_client_is_listed_and_described() {
    let gateway = TestGateway::start().await;
    let (status, list) = gateway.get("/api/clients").await;
    assert_eq!((status, &list["activity"]), (200, &json!([])), "{list}");
    let clients = list["clients"].as_array().unwrap();
    assert_eq!(clients[0]["id"], "claude-code");
    for client in clients {
        let id = client["id"].as_str().unwrap();
        let (status, setup) = gateway
            .get(&format!("/api/clients/{id}?model=org/small"))
            .await;
        assert_eq!(status, 200, "{setup}");
        assert_eq!(setup["client"], *client);
        assert_eq!(
            (&setup["url"], &setup["model"]),
            (&json!(gateway.url), &json!("org/small"))
        );
        assert_eq!(setup["key"]["is_required"], false);
        assert!(setup.to_string().contains(&gateway.url), "{setup}");
    }
    let (status, body) = gateway.get("/api/clients/emacs").await;
    assert_eq!(
        problem(&(status, body.clone())),
        (404, "client_not_found", vec![])
    );
    assert!(
        body["advice"].as_str().unwrap().contains("claude-code"),
        "{body}"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn models_and_address_are_those_of_the_query() {
    let gateway = TestGateway::start().await;
    let path =
        "/api/clients/claude-code?model=org/medium&fast=org/small&url=http://models.local:9000/v1/";
    let (status, setup) = gateway.get(path).await;
    assert_eq!(status, 200, "{setup}");
    let settings: Value =
        serde_json::from_str(setup["files"][0]["content"].as_str().unwrap()).unwrap();
    let variables = &settings["env"];
    assert_eq!(variables["ANTHROPIC_BASE_URL"], "http://models.local:9000");
    assert_eq!(variables["ANTHROPIC_MODEL"], "org/medium");
    assert_eq!(variables["ANTHROPIC_DEFAULT_HAIKU_MODEL"], "org/small");
    assert_eq!(
        setup["aliases"],
        json!([
            {"name": "claude-*haiku*", "target": "org/small"},
            {"name": "claude-*", "target": "org/medium"},
        ])
    );
    for (query, status, field) in [
        ("model=no/model", 404, "model"),
        ("fast=no/model", 404, "model"),
        ("url=models.local", 400, "url"),
        ("url=http://a/%27%3Bid", 400, "url"),
        ("modl=x", 400, "modl"),
    ] {
        let response = gateway.get(&format!("/api/clients/codex?{query}")).await;
        let (actual, _, fields) = problem(&response);
        assert_eq!((actual, fields), (status, vec![field]), "{query}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn aliases_of_a_setup_map_names_to_both_models() {
    let gateway = TestGateway::start().await;
    let path = "/api/clients/claude-code?model=org/other&fast=org/small";
    let (_, setup) = gateway.get(path).await;
    for alias in setup["aliases"].as_array().unwrap() {
        let (status, body) = gateway.post("/api/aliases", alias.clone()).await;
        assert_eq!(status, 200, "{body}");
    }
    for (name, model) in [
        ("claude-haiku-4-5", "org/small"),
        ("claude-opus-5", "org/other"),
    ] {
        let (_, plan) = gateway.post("/api/pool/plan", json!({"model": name})).await;
        assert_eq!(plan["model"], model, "{plan}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn small_context_is_a_problem_with_the_size_that_would_do() {
    let gateway = TestGateway::start().await;
    describe_model(&gateway, "org/small", 8192);
    let known = |setup: &Value| (setup["context_length"] == 8192).then(|| setup.clone());
    let path = "/api/clients/codex?model=org/small";
    let setup = gateway.wait_for(path, known).await;
    let problems = setup["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{setup}");
    assert_eq!(problems[0]["code"], "context_too_small");
    assert_eq!(problems[0]["context_length"], 65_536);
    let content = setup["files"][0]["content"].as_str().unwrap();
    assert!(
        content.contains("model_context_window = 8192\n"),
        "{content}"
    );

    let profile = json!({"name": "long", "model": "org/small", "load": {"context_length": 65_536}});
    let (status, body) = gateway.post("/api/profiles", profile).await;
    assert_eq!(status, 201, "{body}");
    let (_, setup) = gateway.get("/api/clients/codex?model=long").await;
    assert_eq!(
        (&setup["context_length"], &setup["problems"]),
        (&json!(65_536), &json!([]))
    );
    gateway.stop().await;
}

#[tokio::test]
async fn first_request_of_a_client_is_announced() {
    let gateway = TestGateway::start().await;
    let mut events = Events::open(&gateway, "/api/events?topics=clients", None).await;
    let request = |model: &str| {
        gateway
            .request(Method::POST, "/v1/chat/completions")
            .header("user-agent", "codex_exec/0.171.0 (Debian 13)")
            .json(&json!({"model": model, "messages": []}))
    };
    let (status, _) = response(request("no/model")).await;
    assert_eq!(status, 404);
    let (_, event) = events.next().await.unwrap();
    assert_eq!(event["topic"], "clients");
    let activity = &event["event"];
    assert_eq!(activity["client"], "codex");
    assert_eq!(
        (&activity["requests"], &activity["errors"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(activity["last"]["error_kind"], "model_not_found");

    // The server of the tests never ends a completion by itself.
    let mut stream = request("org/small").send().await.unwrap();
    assert_eq!(stream.status(), 200);
    stream.chunk().await.unwrap();
    drop(stream);
    let (_, event) = events.next().await.unwrap();
    let activity = &event["event"];
    assert_eq!(
        (&activity["requests"], &activity["errors"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(activity["last"]["status"], 499);
    assert_eq!(activity["last"]["cached_tokens"], 16);
    assert_eq!(activity["prompt_tokens"], 20);
    let (_, list) = gateway.get("/api/clients").await;
    assert_eq!(list["activity"], json!([activity]));
    gateway.stop().await;
}

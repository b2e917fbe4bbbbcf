//! `/api/profiles`.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{TestGateway, problem};

async fn create(gateway: &TestGateway, body: Value) -> Value {
    let (status, profile) = gateway.post("/api/profiles", body).await;
    assert_eq!(status, 201, "{profile}");
    profile
}

fn names(list: &Value) -> Vec<&str> {
    let profiles = list["profiles"].as_array().unwrap().iter();
    profiles
        .map(|profile| profile["config"]["name"].as_str().unwrap())
        .collect()
}

async fn model_ids(gateway: &TestGateway) -> Vec<String> {
    let (_, list) = gateway.get("/v1/models").await;
    let models = list["data"].as_array().unwrap().iter();
    models
        .map(|model| model["id"].as_str().unwrap().to_owned())
        .collect()
}

/// A port that no one listens on.
async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

async fn set_first_port(gateway: &TestGateway, port: u16) {
    let body = json!({"values": {"profiles.first_port": port}});
    let (status, body) = gateway.send(Method::PATCH, "/api/settings", body).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn profile_is_created_changed_and_deleted() {
    let gateway = TestGateway::start().await;
    let config = json!({
        "name": "coder",
        "model": "org/small",
        "description": "For code",
        "ttl_seconds": -1,
        "load": {"context_length": 64, "kv_cache_dtype": "int8"},
        "request": {"temperature": 0.2, "thinking": "low", "stop": ["x"], "logit_bias": {"7": 1.5}},
    });
    let created = create(&gateway, config.clone()).await;
    for (field, value) in config.as_object().unwrap() {
        assert_eq!(created["config"][field], *value, "{field}");
    }
    assert_eq!(created["config"]["color"], 1);
    // Requests can use it at once.
    assert!(model_ids(&gateway).await.contains(&"coder".to_owned()));

    let id = created["id"].as_str().unwrap();
    for path in [
        format!("/api/profiles/{id}"),
        "/api/profiles/coder".to_owned(),
    ] {
        assert_eq!(gateway.get(&path).await, (200, created.clone()));
    }
    let changed = json!({"name": "writer", "model": "org/other"});
    let (status, updated) = gateway
        .send(Method::PUT, "/api/profiles/coder", changed)
        .await;
    assert_eq!((status, &updated["id"]), (200, &created["id"]), "{updated}");
    assert_eq!(updated["config"]["load"], json!({}));
    assert_eq!(updated["config"]["color"], 1);
    let (_, list) = gateway.get("/api/profiles").await;
    assert_eq!(names(&list), ["writer"]);

    assert_eq!(
        gateway.delete(&format!("/api/profiles/{id}")).await,
        (204, Value::Null)
    );
    assert!(!model_ids(&gateway).await.contains(&"writer".to_owned()));
    for method in [Method::GET, Method::DELETE] {
        let response = gateway
            .send(method, &format!("/api/profiles/{id}"), json!({}))
            .await;
        assert_eq!(problem(&response), (404, "profile_not_found", vec![]));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn all_invalid_fields_are_named() {
    let gateway = TestGateway::start().await;
    for (body, fields) in [
        (json!({"model": "org/small"}), vec!["name"]),
        (
            json!({"name": "a", "model": "org/small", "lod": {}}),
            vec!["lod"],
        ),
        (
            json!({"name": "a", "model": "org/small", "load": {"max_sequences": "many"}}),
            vec!["load.max_sequences"],
        ),
        (
            json!({"name": "a", "model": "org/small", "port": 0, "load": {"device": "tpu"}, "request": {"top_p": 2}}),
            vec!["port", "load.device", "request.top_p"],
        ),
        (
            json!({"name": "a", "model": "org/small", "color": 9}),
            vec!["color"],
        ),
        (json!({"name": "a\nb", "model": "org/small"}), vec!["name"]),
        (
            json!({"name": "a", "model": "org/small", "host": "192.0.2.1", "port": 10240}),
            vec!["host"],
        ),
    ] {
        let response = gateway.post("/api/profiles", body.clone()).await;
        assert_eq!(
            problem(&response),
            (400, "invalid_request", fields),
            "{body} {}",
            response.1
        );
    }
    assert_eq!(
        gateway.get("/api/profiles").await.1,
        json!({"profiles": []})
    );
    gateway.stop().await;
}

#[tokio::test]
async fn conflicts_name_who_has_the_name_or_the_port() {
    let gateway = TestGateway::start().await;
    let port = free_port().await;
    create(
        &gateway,
        json!({"name": "coder", "model": "org/small", "port": port}),
    )
    .await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let used = other.local_addr().unwrap().port();
    for (name, port, code, field, holder) in [
        ("coder", None, "profile_name_taken", "name", "org/small"),
        ("other", Some(port), "profile_port_taken", "port", "coder"),
        (
            "other",
            Some(used),
            "port_in_use",
            "port",
            "listens on port",
        ),
        (
            "other",
            Some(gateway.state.address().port()),
            "port_in_use",
            "port",
            "this gateway",
        ),
    ] {
        let body = json!({"name": name, "model": "org/other", "port": port});
        let response = gateway.post("/api/profiles", body).await;
        assert_eq!(problem(&response), (409, code, vec![field]));
        assert!(
            response.1["detail"].as_str().unwrap().contains(holder),
            "{}",
            response.1
        );
        assert!(response.1["advice"].is_string(), "{}", response.1);
    }
    // Its own name and port are no conflict.
    let same = json!({"name": "coder", "model": "org/other", "port": port});
    let (status, body) = gateway.send(Method::PUT, "/api/profiles/coder", same).await;
    assert_eq!(status, 200, "{body}");
    set_first_port(&gateway, port).await;
    let (_, next) = gateway.get("/api/profiles/next-port").await;
    assert!(next["port"].as_u64().unwrap() > u64::from(port), "{next}");
    gateway.stop().await;
}

#[tokio::test]
async fn next_port_begins_at_the_setting() {
    let gateway = TestGateway::start().await;
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let used = other.local_addr().unwrap().port();
    let (_, next) = gateway.get("/api/profiles/next-port").await;
    assert!(next["port"].as_u64().unwrap() >= 10240, "{next}");
    set_first_port(&gateway, used).await;
    let (_, next) = gateway.get("/api/profiles/next-port").await;
    assert!(next["port"].as_u64().unwrap() > u64::from(used), "{next}");
    gateway.stop().await;
}

#[tokio::test]
async fn copies_have_names_of_their_own_and_no_port() {
    let gateway = TestGateway::start().await;
    let port = free_port().await;
    let config = json!({"name": "coder", "model": "org/small", "port": port, "is_pinned": true,
        "request": {"temperature": 0.5}});
    create(&gateway, config).await;
    let path = "/api/profiles/coder/duplicate";
    for (body, name) in [
        (json!({}), "coder copy"),
        (json!({}), "coder copy 2"),
        (json!({"name": "mine"}), "mine"),
    ] {
        let (status, copy) = gateway.post(path, body).await;
        assert_eq!(
            (status, &copy["config"]["name"]),
            (201, &json!(name)),
            "{copy}"
        );
        assert_eq!(copy["config"]["port"], Value::Null);
        assert_eq!(copy["config"]["is_pinned"], false);
        assert_ne!(copy["config"]["color"], 1, "the color of the original");
        assert_eq!(copy["config"]["request"], json!({"temperature": 0.5}));
    }
    let response = gateway.post(path, json!({"name": "mine"})).await;
    assert_eq!(
        problem(&response),
        (409, "profile_name_taken", vec!["name"])
    );
    gateway.stop().await;
}

#[tokio::test]
async fn exported_profiles_are_imported_again() {
    let gateway = TestGateway::start().await;
    let config = json!({"name": "coder", "model": "org/small", "ttl_seconds": 5,
        "load": {"context_length": 64}, "request": {"temperature": 0.5, "system_prompt": "Be brief."}});
    create(&gateway, config).await;
    let (status, json) = gateway.get("/api/profiles/coder/export").await;
    assert_eq!(status, 200, "{json}");
    let body = json!({"name": "from json", "content": json["content"]});
    let (status, imported) = gateway.post("/api/profiles/import", body).await;
    assert_eq!(status, 201, "{imported}");
    assert_eq!(imported["profile"]["config"]["ttl_seconds"], 5);

    let (_, modelfile) = gateway
        .get("/api/profiles/coder/export?format=modelfile")
        .await;
    assert!(
        modelfile["content"]
            .as_str()
            .unwrap()
            .starts_with("FROM org/small\n"),
        "{modelfile}"
    );
    assert_eq!(
        modelfile["warnings"].as_array().unwrap().len(),
        1,
        "{modelfile}"
    );
    let body =
        json!({"name": "from modelfile", "format": "modelfile", "content": modelfile["content"]});
    let (status, imported) = gateway.post("/api/profiles/import", body).await;
    assert_eq!(status, 201, "{imported}");
    let config = &imported["profile"]["config"];
    assert_eq!(config["load"], json!({"context_length": 64}));
    assert_eq!(
        config["request"],
        json!({"temperature": 0.5, "system_prompt": "Be brief."})
    );
    gateway.stop().await;
}

#[tokio::test]
async fn modelfiles_are_rejected_by_line() {
    let gateway = TestGateway::start().await;
    let content = "FROM org/small\nTEMPLATE {{ .Prompt }}\n";
    let body = json!({"name": "a", "format": "modelfile", "content": content});
    let response = gateway.post("/api/profiles/import", body).await;
    assert_eq!(
        problem(&response),
        (400, "modelfile_invalid", vec!["content"])
    );
    assert!(
        response.1["detail"]
            .as_str()
            .unwrap()
            .starts_with("line 2: TEMPLATE"),
        "{}",
        response.1
    );
    let body = json!({"name": "a", "format": "json", "content": "{"});
    let response = gateway.post("/api/profiles/import", body).await;
    assert_eq!(
        problem(&response),
        (400, "invalid_request", vec!["content"])
    );
    gateway.stop().await;
}

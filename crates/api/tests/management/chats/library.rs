//! `/api/personas` and `/api/prompts`.

use mlxm_store::Uuid;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestGateway, problem};

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items
        .map(|item| item["config"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn personas_are_created_changed_and_deleted() {
    let gateway = TestGateway::start().await;
    let (_, list) = gateway.get("/api/personas").await;
    let built_in = list["personas"].as_array().unwrap();
    assert!(!built_in.is_empty());
    for persona in built_in {
        assert_eq!(persona["is_built_in"], true);
        assert_ne!(persona["config"]["system_prompt"], "");
    }
    let config =
        json!({"name": "Teacher", "system_prompt": "Explain.", "settings": {"temperature": 0.5}});
    let (status, created) = gateway.post("/api/personas", config.clone()).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["config"], config);
    assert_eq!(created["is_built_in"], false);
    let path = format!("/api/personas/{}", created["id"].as_str().unwrap());
    assert_eq!(gateway.get(&path).await, (200, created.clone()));
    let taken = gateway.post("/api/personas", config).await;
    assert_eq!(problem(&taken), (409, "persona_name_taken", vec!["name"]));

    let chat = json!({"persona_id": created["id"]});
    let (status, chat) = gateway.post("/api/chats", chat).await;
    assert_eq!(
        (status, &chat["persona_id"]),
        (201, &created["id"]),
        "{chat}"
    );
    let changed = json!({"name": "Tutor", "system_prompt": "Ask."});
    let (status, changed) = gateway.send(Method::PUT, &path, changed).await;
    assert_eq!((status, &changed["config"]["name"]), (200, &json!("Tutor")));
    let (_, list) = gateway.get("/api/personas").await;
    assert!(names(&list["personas"]).contains(&"Tutor"), "{list}");
    assert_eq!(gateway.delete(&path).await.0, 204);
    assert_eq!(problem(&gateway.get(&path).await).1, "persona_not_found");
    let chat = format!("/api/chats/{}", chat["id"].as_str().unwrap());
    assert_eq!(
        gateway.get(&chat).await.1["chat"]["persona_id"],
        Value::Null
    );
    gateway.stop().await;
}

#[tokio::test]
async fn prompts_list_their_variables() {
    let gateway = TestGateway::start().await;
    let config = json!({"name": "translate", "text": "Translate to {{language}}: {{text}} ({{ language }})"});
    let (status, created) = gateway.post("/api/prompts", config.clone()).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["config"], config);
    assert_eq!(created["variables"], json!(["language", "text"]));
    let taken = gateway.post("/api/prompts", config).await;
    assert_eq!(problem(&taken), (409, "prompt_name_taken", vec!["name"]));
    let path = format!("/api/prompts/{}", created["id"].as_str().unwrap());
    let changed = json!({"name": "fix", "text": "Fix this."});
    let (status, changed) = gateway.send(Method::PUT, &path, changed).await;
    assert_eq!(
        (status, &changed["variables"]),
        (200, &json!([])),
        "{changed}"
    );
    let (_, list) = gateway.get("/api/prompts").await;
    assert_eq!(names(&list["prompts"]), ["fix"]);
    assert_eq!(gateway.delete(&path).await.0, 204);
    assert_eq!(problem(&gateway.delete(&path).await).1, "prompt_not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn invalid_personas_and_prompts_are_rejected_by_field() {
    let gateway = TestGateway::start().await;
    for (path, body, field) in [
        (
            "/api/personas",
            json!({"name": "", "system_prompt": "x"}),
            "name",
        ),
        ("/api/personas", json!({"name": "a"}), "system_prompt"),
        (
            "/api/personas",
            json!({"name": "a", "system_prompt": "x", "settings": {"system_prompt": "y"}}),
            "settings.system_prompt",
        ),
        (
            "/api/personas",
            json!({"name": "a", "system_prompt": "x", "settings": {"min_p": -1.0}}),
            "settings.min_p",
        ),
        (
            "/api/prompts",
            json!({"name": "two words", "text": "x"}),
            "name",
        ),
        ("/api/prompts", json!({"name": "a", "txt": "x"}), "txt"),
    ] {
        let response = gateway.post(path, body.clone()).await;
        assert_eq!(
            problem(&response),
            (400, "invalid_request", vec![field]),
            "{body}"
        );
    }
    for noun in ["persona", "prompt"] {
        for id in ["x".to_owned(), Uuid::now_v7().to_string()] {
            let response = gateway.get(&format!("/api/{noun}s/{id}")).await;
            assert_eq!(problem(&response).1, format!("{noun}_not_found"));
        }
    }
    gateway.stop().await;
}

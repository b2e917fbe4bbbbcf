//! Requests that start runs: what they use, and what is rejected before anything is stored.

use reqwest::Method;
use serde_json::{Value, json};

use crate::player::Player;
use crate::run_readers::{new_chat, send, text_of};
use crate::runs::{act, finished, has_text, id};
use crate::support::{TestGateway, problem};

async fn stop(gateway: &TestGateway, started: &Value) {
    let path = format!("/api/runs/{}/stop", id(&started["run"]["id"]));
    let (status, stopped) = gateway.post(&path, json!({})).await;
    assert_eq!(status, 200, "{stopped}");
    assert_eq!(stopped["message"]["state"], "stopped", "{stopped}");
}

async fn messages(gateway: &TestGateway, chat: &str) -> Vec<Value> {
    let (status, detail) = gateway.get(&format!("/api/chats/{chat}")).await;
    assert_eq!(status, 200, "{detail}");
    detail["messages"].as_array().unwrap().clone()
}

/// A chat with a message and its complete response; returns what was started.
async fn complete(gateway: &TestGateway, chat: &str) -> Value {
    let player = Player::new();
    let started = send(gateway, chat, &player.message()).await;
    player.text("complete");
    player.finish("length", 1);
    finished(gateway, &started).await;
    started
}

#[tokio::test]
async fn response_is_continued_by_the_model_and_the_api_that_wrote_it() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let (regenerated, mut continued, mut other) = (player.again(), player.again(), player.again());
    let started = send(&gateway, &chat, &player.message()).await;
    player.text("one");
    player.finish("stop", 1);
    finished(&gateway, &started).await;
    let path = format!(
        "/api/chats/{chat}/messages/{}/regenerate",
        id(&started["run"]["message"])
    );
    let options = json!({"model": "org/other", "protocol": "anthropic"});
    let (status, started) = gateway.post(&path, options).await;
    assert_eq!(status, 202, "{started}");
    regenerated.start_message();
    regenerated.message_text("It was ");
    has_text(&gateway, &started, "It was ").await;
    stop(&gateway, &started).await;

    let (status, more) = act(&gateway, &started, "continue").await;
    assert_eq!(status, 202, "{more}");
    assert_eq!(more["run"]["model"], "org/other");
    assert_eq!(more["run"]["protocol"], "anthropic");
    let request = continued.request().await;
    assert_eq!(request["model"], "org/other");
    assert!(request["max_tokens"].is_u64(), "{request}");
    continued.start_message();
    continued.message_text("a ");
    has_text(&gateway, &more, "It was a ").await;
    stop(&gateway, &more).await;

    // Unless the request names others.
    let path = format!(
        "/api/chats/{chat}/messages/{}/continue",
        id(&more["run"]["message"])
    );
    let options = json!({"model": "org/small", "protocol": "openai"});
    let (status, last) = gateway.post(&path, options).await;
    assert_eq!(status, 202, "{last}");
    let request = other.request().await;
    assert_eq!(request["model"], "org/small");
    assert_eq!(request["continue_final_message"], true);
    other.text("night");
    other.finish("stop", 1);
    let snapshot = finished(&gateway, &last).await;
    assert_eq!(text_of(&snapshot["message"]), "It was a night");
    assert_eq!(snapshot["message"]["model"], "org/small");
    gateway.stop().await;
}

#[tokio::test]
async fn response_that_a_message_follows_is_not_continued() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let first = complete(&gateway, &chat).await;
    let player = Player::new();
    let (next, last) = (
        player.again(),
        send(&gateway, &chat, &player.message()).await,
    );
    player.text("complete");
    player.finish("length", 1);
    finished(&gateway, &last).await;
    let response = act(&gateway, &first, "continue").await;
    assert_eq!(problem(&response), (409, "response_not_repeatable", vec![]));
    let advice = response.1["advice"].as_str().unwrap();
    assert!(advice.contains("regenerate"), "{advice}");
    let shown = messages(&gateway, &chat).await;
    assert_eq!(shown[1]["state"], "complete");
    assert_eq!(shown[1]["finish_reason"], "length");
    let (status, continued) = act(&gateway, &last, "continue").await;
    assert_eq!(status, 202, "{continued}");
    next.finish("stop", 0);
    finished(&gateway, &continued).await;
    gateway.stop().await;
}

#[tokio::test]
async fn invalid_settings_of_a_run_are_named_and_nothing_is_stored() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let started = complete(&gateway, &chat).await;
    let before = messages(&gateway, &chat).await;
    let all = format!("/api/chats/{chat}/messages");
    let (user, response) = (id(&before[0]["id"]), id(&started["run"]["message"]));
    let options = json!({"settings": {"top_p": 7}});
    let message = json!({"content": [{"type": "text", "text": "Hi"}], "options": options});
    for (method, path, body, field) in [
        (
            Method::POST,
            all.clone(),
            &message,
            "options.settings.top_p",
        ),
        (
            Method::PATCH,
            format!("{all}/{user}"),
            &message,
            "options.settings.top_p",
        ),
        (
            Method::PATCH,
            format!("{all}/{response}"),
            &message,
            "options.settings.top_p",
        ),
        (
            Method::POST,
            format!("{all}/{response}/regenerate"),
            &options,
            "settings.top_p",
        ),
        (
            Method::POST,
            format!("{all}/{response}/continue"),
            &options,
            "settings.top_p",
        ),
    ] {
        let response = gateway.send(method, &path, body.clone()).await;
        assert_eq!(
            problem(&response),
            (400, "invalid_request", vec![field]),
            "{path}"
        );
    }
    assert_eq!(messages(&gateway, &chat).await, before);
    gateway.stop().await;
}

#[tokio::test]
async fn key_belongs_to_one_chat() {
    let gateway = TestGateway::start().await;
    let (first, second) = (new_chat(&gateway).await, new_chat(&gateway).await);
    let player = Player::new();
    let content = json!([{"type": "text", "text": player.message()}]);
    let body = json!({"content": content, "idempotency_key": "k"});
    let path = |chat: &str| format!("/api/chats/{chat}/messages");
    let (status, started) = gateway.post(&path(&first), body.clone()).await;
    assert_eq!(status, 202, "{started}");
    let response = gateway.post(&path(&second), body.clone()).await;
    assert_eq!(
        problem(&response),
        (409, "conflict", vec!["idempotency_key"])
    );
    assert_eq!(messages(&gateway, &second).await, Vec::<Value>::new());
    let (status, again) = gateway.post(&path(&first), body).await;
    assert_eq!(status, 202, "{again}");
    assert_eq!(again["run"]["id"], started["run"]["id"]);
    player.finish("stop", 0);
    finished(&gateway, &started).await;
    gateway.stop().await;
}

#[tokio::test]
async fn version_of_a_response_that_is_sent_again_with_its_key_is_stored_once() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let started = complete(&gateway, &chat).await;
    let path = format!(
        "/api/chats/{chat}/messages/{}",
        id(&started["run"]["message"])
    );
    let body = |key: &str| json!({"content": [{"type": "text", "text": "better"}], "idempotency_key": key});
    let edit = async |key: &str| {
        let (status, edited) = gateway.send(Method::PATCH, &path, body(key)).await;
        assert_eq!(status, 200, "{edited}");
        edited
    };
    let first = edit("k1").await;
    assert_eq!(edit("k1").await, first);
    assert_eq!(messages(&gateway, &chat).await.len(), 3);
    let second = edit("k2").await;
    assert_ne!(second["id"], first["id"]);
    assert_eq!(messages(&gateway, &chat).await.len(), 4);
    gateway.stop().await;
}

#[tokio::test]
async fn profile_whose_model_is_not_here_fails_with_the_reason() {
    let gateway = TestGateway::start().await;
    let profile = json!({"name": "later", "model": "org/absent"});
    let (status, body) = gateway.post("/api/profiles", profile).await;
    assert_eq!(status, 201, "{body}");
    let alias = json!({"name": "gpt-4o", "target": "org/absent"});
    let (status, body) = gateway.post("/api/aliases", alias).await;
    assert_eq!(status, 200, "{body}");
    for model in ["later", "gpt-4o"] {
        let (_, chat) = gateway.post("/api/chats", json!({"model": model})).await;
        let started = send(&gateway, id(&chat["id"]), "Hi").await;
        let snapshot = finished(&gateway, &started).await;
        let found = &snapshot["message"]["problem"];
        assert_eq!(found["code"], "model_not_found", "{found}");
        let detail = found["detail"].as_str().unwrap();
        assert!(detail.contains("org/absent"), "{detail}");
        let advice = found["advice"].as_str().unwrap();
        assert!(advice.contains("download"), "{advice}");
    }
    gateway.stop().await;
}

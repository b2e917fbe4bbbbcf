//! Responses that are computed again: those that were cut off or continued, copies, and what their receipts have.

use serde_json::{Value, json};

use crate::player::Player;
use crate::run_readers::{new_chat, send, text_of};
use crate::runs::{act, finished, has_text, id, wait_for_run};
use crate::support::{TestGateway, problem};

async fn stop(gateway: &TestGateway, started: &Value) -> Value {
    let path = format!("/api/runs/{}/stop", id(&started["run"]["id"]));
    let (status, stopped) = gateway.post(&path, json!({})).await;
    assert_eq!(status, 200, "{stopped}");
    stopped["message"].clone()
}

async fn reproduce(gateway: &TestGateway, started: &Value) -> (u16, Value) {
    let path = format!("/api/runs/{}/reproduce", id(&started["run"]["id"]));
    gateway.post(&path, json!({})).await
}

#[tokio::test]
async fn response_that_was_cut_off_is_computed_to_its_end() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let (mut same, mut other, mut short) = (player.again(), player.again(), player.again());
    let started = send(&gateway, &chat, &player.message()).await;
    // Pieces of text are no tokens.
    player.reasoning("hm");
    player.text("one two");
    has_text(&gateway, &started, "one two").await;
    stop(&gateway, &started).await;

    // The completions go on, or end early.
    let play = async {
        same.request().await;
        same.reasoning("h");
        same.reasoning("m");
        same.text("one ");
        same.text("two three four");
        same
    };
    let ((status, found), _same) = tokio::join!(reproduce(&gateway, &started), play);
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["is_identical"], true, "{found}");
    assert_eq!(found["changes"], json!([]));

    let play = async {
        other.request().await;
        other.reasoning("hm");
        other.text("one six seven");
        other
    };
    let ((status, found), _other) = tokio::join!(reproduce(&gateway, &started), play);
    assert_eq!(status, 200, "{found}");
    assert_eq!(
        found["difference"],
        json!({"field": "text", "position": 4, "stored": "two", "reproduced": "six"})
    );

    let play = async {
        short.request().await;
        short.reasoning("hm");
        short.text("one");
        short.finish("stop", 2);
    };
    let ((status, found), ()) = tokio::join!(reproduce(&gateway, &started), play);
    assert_eq!(status, 200, "{found}");
    assert_eq!(
        found["difference"],
        json!({"field": "text", "position": 3, "stored": " two", "reproduced": ""})
    );
}

#[tokio::test]
async fn response_without_text_has_nothing_to_compare() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    wait_for_run(&gateway, &started, |snapshot| {
        snapshot["message"]["receipt"].is_object()
    })
    .await;
    stop(&gateway, &started).await;
    let response = reproduce(&gateway, &started).await;
    assert_eq!(problem(&response), (409, "conflict", vec![]));
    let detail = response.1["detail"].as_str().unwrap();
    assert!(detail.contains("nothing to compare"), "{detail}");
}

#[tokio::test]
async fn only_the_last_run_of_a_continued_response_is_computed_again() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let (next, mut again) = (player.again(), player.again());
    let first = send(&gateway, &chat, &player.message()).await;
    player.text("It was a ");
    has_text(&gateway, &first, "It was a ").await;
    stop(&gateway, &first).await;
    let (status, second) = act(&gateway, &first, "continue").await;
    assert_eq!(status, 202, "{second}");
    next.text("night");
    next.finish("stop", 1);
    finished(&gateway, &second).await;

    let response = reproduce(&gateway, &first).await;
    assert_eq!(problem(&response), (409, "conflict", vec![]));
    let detail = response.1["detail"].as_str().unwrap();
    assert!(detail.contains("a later run has continued"), "{detail}");
    let play = async {
        let request = again.request().await;
        again.text("night");
        again.finish("stop", 1);
        request
    };
    let ((status, found), request) = tokio::join!(reproduce(&gateway, &second), play);
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["is_identical"], true, "{found}");
    assert_eq!(
        request["messages"][1],
        json!({"role": "assistant", "content": "It was a "})
    );
}

#[tokio::test]
async fn receipt_has_what_the_server_was_loaded_with() {
    let gateway = TestGateway::start().await;
    let profile = json!({"name": "one", "model": "org/small", "load": {"kv_cache_dtype": "int8"}});
    let (status, body) = gateway.post("/api/profiles", profile).await;
    assert_eq!(status, 201, "{body}");
    let (_, chat) = gateway.post("/api/chats", json!({"model": "one"})).await;
    let player = Player::new();
    let started = send(&gateway, id(&chat["id"]), &player.message()).await;
    player.text("ok");
    player.finish("stop", 1);
    let snapshot = finished(&gateway, &started).await;
    let load = &snapshot["message"]["receipt"]["load"];
    // Those that the profile leaves to the server, too.
    for (name, value) in [
        ("kv_cache_dtype", json!("int8")),
        ("context_length", json!(64)),
        ("kv_pool_tokens", json!(64)),
        ("max_sequences", json!(16)),
    ] {
        assert_eq!(load[name], value, "{load}");
    }
}

#[tokio::test]
async fn copy_of_a_response_has_a_receipt_and_no_run() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    player.text("ok");
    player.finish("stop", 1);
    finished(&gateway, &started).await;
    let body = json!({"message": started["run"]["message"]});
    let (status, fork) = gateway.post(&format!("/api/chats/{chat}/fork"), body).await;
    assert_eq!(status, 201, "{fork}");
    let (_, shown) = gateway
        .get(&format!("/api/chats/{}", id(&fork["id"])))
        .await;
    let copy = &shown["messages"][1];
    assert_eq!(text_of(copy), "ok");
    assert!(copy["receipt"].is_object(), "{copy}");
    assert_eq!(copy["run"], Value::Null);
    let path = format!("/api/runs/{}/reproduce", id(&copy["id"]));
    let response = gateway.post(&path, json!({})).await;
    assert_eq!(problem(&response), (404, "run_not_found", vec![]));
    let advice = response.1["advice"].as_str().unwrap();
    assert!(advice.contains("copies of responses"), "{advice}");
}

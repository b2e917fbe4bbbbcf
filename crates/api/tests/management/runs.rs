//! Runs: what they wait for, how they end, and what is kept of them.

use std::time::Duration;

use mlxm_store::chats::ChatProtocol;
use mlxm_store::messages::Part;
use mlxm_store::runs::{NewRun, RunTarget};
use mlxm_store::{OWNER, Uuid};
use serde_json::{Value, json};

use crate::player::Player;
use crate::run_readers::{new_chat, send, text_of};
use crate::support::{TestGateway, problem};

pub fn id(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The snapshot of a run, once `accept` accepts it.
pub async fn wait_for_run(
    gateway: &TestGateway,
    started: &Value,
    accept: impl Fn(&Value) -> bool,
) -> Value {
    let path = format!("/api/runs/{}", id(&started["run"]["id"]));
    gateway
        .wait_for(&path, |snapshot| accept(snapshot).then(|| snapshot.clone()))
        .await
}

/// The snapshot of a run that has ended, as it is stored.
pub async fn finished(gateway: &TestGateway, started: &Value) -> Value {
    wait_for_run(gateway, started, |snapshot| {
        snapshot["run"]["state"] == "finished"
    })
    .await
}

pub async fn has_text(gateway: &TestGateway, started: &Value, text: &str) -> Value {
    wait_for_run(gateway, started, |snapshot| {
        text_of(&snapshot["message"]) == text
    })
    .await
}

pub async fn act(gateway: &TestGateway, started: &Value, action: &str) -> (u16, Value) {
    let (chat, message) = (id(&started["run"]["chat"]), id(&started["run"]["message"]));
    let path = format!("/api/chats/{chat}/messages/{message}/{action}");
    gateway.post(&path, json!({})).await
}

#[tokio::test]
async fn run_continues_without_a_client_and_is_stored_with_its_receipt() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let mut player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    assert_eq!(started["messages"].as_array().unwrap().len(), 2);
    assert_eq!(started["messages"][1]["state"], "running");
    let request = player.request().await;
    assert_eq!(request["model"], "org/small");
    assert_eq!(
        request["messages"],
        json!([{"role": "user", "content": player.message()}])
    );
    player.data(json!({"choices": [{"delta": {}}], "prompt_progress": {"total": 20, "cache": 16, "processed": 18}}));
    player.reasoning("hm");
    player.text("Hello");
    let live = has_text(&gateway, &started, "Hello").await;
    assert_eq!(live["run"]["state"], "generating");
    assert_eq!(
        live["run"]["prefill"],
        json!({"computed": 18, "cached": 16, "of": 20})
    );
    let call = json!([{"index": 0, "id": "c1", "function": {"name": "read", "arguments": "{}"}}]);
    player.delta(json!({"tool_calls": call}));
    player.finish("tool_calls", 9);
    let snapshot = finished(&gateway, &started).await;
    let message = &snapshot["message"];
    assert_eq!(message["reasoning"], "hm");
    assert_eq!(
        message["tool_calls"],
        json!([{"id": "c1", "name": "read", "arguments": "{}"}])
    );
    assert_eq!(message["finish_reason"], "tool_calls");
    assert_eq!(message["usage"]["cached_tokens"], 16);
    assert_eq!(message["usage"]["completion_tokens"], 9);
    let receipt = &message["receipt"];
    assert_eq!(receipt["repository"], "org/small");
    assert_eq!(receipt["engine_version"], "0.1.0");
    assert!(receipt["seed"].is_i64(), "{receipt}");
    // It is a request like those of clients.
    let rows = gateway
        .wait_for("/api/audit", |page| {
            let rows = page["rows"].as_array()?;
            (!rows.is_empty()).then(|| rows.clone())
        })
        .await;
    assert_eq!(rows[0]["request_id"], snapshot["run"]["request_id"]);
    let (_, chat) = gateway.get(&format!("/api/chats/{chat}")).await;
    assert_eq!(chat["chat"]["leaf_id"], message["id"]);
    assert!(!id(&chat["chat"]["title"]).is_empty());
}

#[tokio::test]
async fn stopped_response_keeps_its_text_and_is_continued() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    let mut next = player.again();
    player.text("It was a ");
    has_text(&gateway, &started, "It was a ").await;
    let stop = format!("/api/runs/{}/stop", id(&started["run"]["id"]));
    let (status, stopped) = gateway.post(&stop, json!({})).await;
    assert_eq!(status, 200, "{stopped}");
    assert_eq!(stopped["message"]["state"], "stopped");
    assert_eq!(text_of(&stopped["message"]), "It was a ");
    // A second time changes nothing.
    assert_eq!(
        gateway.post(&stop, json!({})).await.1["message"],
        stopped["message"]
    );

    let (status, continued) = act(&gateway, &started, "continue").await;
    assert_eq!(status, 202, "{continued}");
    assert_eq!(continued["run"]["message"], started["run"]["message"]);
    assert_ne!(continued["run"]["id"], started["run"]["id"]);
    let request = next.request().await;
    assert_eq!(request["continue_final_message"], true);
    assert_eq!(
        request["messages"][1],
        json!({"role": "assistant", "content": "It was a "})
    );
    next.text("night");
    next.finish("stop", 1);
    let snapshot = finished(&gateway, &continued).await;
    assert_eq!(text_of(&snapshot["message"]), "It was a night");
    assert_eq!(snapshot["message"]["state"], "complete");
    assert_eq!(snapshot["message"]["receipt"]["continued_at"], 9);
}

#[tokio::test]
async fn regenerated_response_is_a_sibling_also_of_another_model_and_api() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    let mut next = player.again();
    player.text("one");
    player.finish("stop", 1);
    finished(&gateway, &started).await;
    let message = id(&started["run"]["message"]);
    let (status, regenerated) = gateway
        .post(
            &format!("/api/chats/{chat}/messages/{message}/regenerate"),
            json!({"model": "org/other", "protocol": "anthropic", "settings": {"seed": 7, "max_tokens": 5}}),
        )
        .await;
    assert_eq!(status, 202, "{regenerated}");
    let request = next.request().await;
    assert_eq!(request["model"], "org/other");
    assert_eq!(request["max_tokens"], 5);
    next.start_message();
    next.message_text("two");
    next.finish_message("max_tokens");
    let snapshot = finished(&gateway, &regenerated).await;
    let response = &snapshot["message"];
    assert_eq!(text_of(response), "two");
    assert_eq!(response["finish_reason"], "length");
    assert_eq!(response["model"], "org/other");
    assert_eq!(response["receipt"]["seed"], 7);
    assert_eq!(response["usage"]["prompt_tokens"], 20);
    assert_eq!(response["parent_id"], started["messages"][0]["id"]);
    let (_, detail) = gateway.get(&format!("/api/chats/{chat}")).await;
    assert_eq!(detail["messages"].as_array().unwrap().len(), 3);
    assert_eq!(detail["chat"]["leaf_id"], response["id"]);
}

#[tokio::test]
async fn reproduced_response_is_identical_or_differs_at_a_position() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    let (mut same, mut other) = (player.again(), player.again());
    player.text("one two");
    player.finish("stop", 2);
    finished(&gateway, &started).await;
    let path = format!("/api/runs/{}/reproduce", id(&started["run"]["id"]));
    same.text("one ");
    same.text("two");
    let request = async {
        let request = same.request().await;
        same.finish("stop", 2);
        request
    };
    let ((status, reproduced), request) = tokio::join!(gateway.post(&path, json!({})), request);
    assert_eq!(status, 200, "{reproduced}");
    assert_eq!(reproduced["is_identical"], true, "{reproduced}");
    assert_eq!(reproduced["difference"], Value::Null);
    assert_eq!(reproduced["changes"], json!([]));
    assert_eq!(request["messages"].as_array().unwrap().len(), 1);

    other.text("one three");
    let play = async {
        other.request().await;
        other.finish("stop", 2);
    };
    let ((status, reproduced), ()) = tokio::join!(gateway.post(&path, json!({})), play);
    assert_eq!(status, 200, "{reproduced}");
    assert_eq!(reproduced["is_identical"], false);
    assert_eq!(
        reproduced["difference"],
        json!({"field": "text", "position": 5, "stored": "wo", "reproduced": "hree"})
    );
    // The response is not changed.
    let snapshot = finished(&gateway, &started).await;
    assert_eq!(text_of(&snapshot["message"]), "one two");
}

#[tokio::test]
async fn lost_server_fails_the_run_and_keeps_its_text() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    player.text("so far");
    has_text(&gateway, &started, "so far").await;
    player.cut();
    let snapshot = finished(&gateway, &started).await;
    let message = &snapshot["message"];
    assert_eq!(message["state"], "failed");
    assert_eq!(text_of(message), "so far");
    let problem = &message["problem"];
    assert_eq!(problem["code"], "worker_failed", "{problem}");
    assert_eq!(problem["request_id"], snapshot["run"]["request_id"]);
}

#[tokio::test]
async fn waiting_for_memory_and_for_a_place_is_a_state_of_the_run() {
    let gateway = TestGateway::start().await;
    let (first, second) = (Player::new(), Player::new());
    let chat = new_chat(&gateway).await;
    let medium = json!({"content": [{"type": "text", "text": first.message()}], "options": {"model": "org/medium"}});
    let path = format!("/api/chats/{chat}/messages");
    let (status, started) = gateway.post(&path, medium).await;
    assert_eq!(status, 202, "{started}");
    first.text("busy");
    has_text(&gateway, &started, "busy").await;

    let other = new_chat(&gateway).await;
    let waiting = send(&gateway, &other, &second.message()).await;
    let snapshot = wait_for_run(&gateway, &waiting, |snapshot| {
        snapshot["run"]["waiting"]["for"] == "memory"
    })
    .await;
    assert_eq!(snapshot["run"]["state"], "waiting");
    assert_eq!(snapshot["run"]["waiting"]["holder"], "org/medium");
    first.finish("stop", 1);
    second.text("done");
    second.finish("stop", 1);
    let snapshot = finished(&gateway, &waiting).await;
    assert_eq!(text_of(&snapshot["message"]), "done");
    assert_eq!(snapshot["run"]["waiting"], Value::Null);
}

/// A gateway that shares the database writes it, so that there is no run to wait for here.
#[tokio::test]
async fn response_of_another_gateway_is_shown_without_waiting_for_its_run() {
    const READS: u32 = 40;
    // Half of the time that waiting takes.
    const TIMEOUT: Duration = Duration::from_millis(250 * READS as u64);
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let run = NewRun {
        id: Uuid::now_v7(),
        gateway_id: Uuid::now_v7(),
        request_id: "run_other".to_owned(),
        model: "org/small".to_owned(),
        protocol: ChatProtocol::OpenAi,
        target: RunTarget::Message {
            parent_id: None,
            content: vec![Part::Text {
                text: "Hi".to_owned(),
            }],
        },
        idempotency_key: None,
    };
    let store = gateway.state.store();
    mlxm_store::runs::start(store, OWNER, chat.parse().unwrap(), run)
        .await
        .unwrap();
    let path = format!("/api/chats/{chat}");
    let reads = async {
        for _ in 0..READS {
            let (status, detail) = gateway.get(&path).await;
            assert_eq!(status, 200, "{detail}");
            assert_eq!(detail["messages"][1]["state"], "running");
            assert_eq!(detail["runs"], json!([]));
        }
    };
    tokio::time::timeout(TIMEOUT, reads).await.unwrap();
}

#[tokio::test]
async fn unknown_model_and_busy_branch_are_rejected_with_the_next_step() {
    let gateway = TestGateway::start().await;
    let (_, chat) = gateway.post("/api/chats", json!({})).await;
    let path = format!("/api/chats/{}/messages", id(&chat["id"]));
    let message = |text: &str| json!({"content": [{"type": "text", "text": text}]});
    let response = gateway.post(&path, message("Hi")).await;
    assert_eq!(
        problem(&response),
        (400, "invalid_request", vec!["options.model"])
    );

    let mut unknown = message("Hi");
    unknown["options"] = json!({"model": "org/unknown"});
    let (status, started) = gateway.post(&path, unknown).await;
    assert_eq!(status, 202, "{started}");
    let snapshot = finished(&gateway, &started).await;
    let found = &snapshot["message"]["problem"];
    assert_eq!(found["code"], "model_not_found", "{found}");
    assert!(found["advice"].is_string(), "{found}");

    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    player.text("writing");
    has_text(&gateway, &started, "writing").await;
    let path = format!("/api/chats/{chat}/messages");
    let response = gateway.post(&path, message("and now?")).await;
    assert_eq!(problem(&response), (409, "message_busy", vec![]));
    let (status, body) = act(&gateway, &started, "continue").await;
    assert_eq!(status, 409, "{body}");
    player.finish("stop", 1);
    finished(&gateway, &started).await;
    let missing = "/api/runs/00000000-0000-0000-0000-000000000001";
    assert_eq!(
        problem(&gateway.get(missing).await),
        (404, "run_not_found", vec![])
    );
}

#[tokio::test]
async fn message_that_is_sent_again_with_its_key_is_stored_once() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let path = format!("/api/chats/{chat}/messages");
    let body =
        json!({"content": [{"type": "text", "text": player.message()}], "idempotency_key": "k1"});
    let (_, first) = gateway.post(&path, body.clone()).await;
    let (status, second) = gateway.post(&path, body.clone()).await;
    assert_eq!(status, 202, "{second}");
    assert_eq!(second["run"]["id"], first["run"]["id"]);
    player.text("once");
    player.finish("stop", 1);
    finished(&gateway, &first).await;
    let (_, third) = gateway.post(&path, body).await;
    assert_eq!(third["run"]["state"], "finished");
    let (_, detail) = gateway.get(&format!("/api/chats/{chat}")).await;
    assert_eq!(detail["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn settings_of_the_run_the_chat_and_the_profile_are_sent_in_this_order() {
    let gateway = TestGateway::start().await;
    let profile = json!({"name": "one", "model": "org/small", "request": {"temperature": 0.5, "top_k": 3, "min_p": 0.1}});
    let (status, body) = gateway.post("/api/profiles", profile).await;
    assert_eq!(status, 201, "{body}");
    let chat = json!({"model": "one", "system_prompt": "Be brief.", "settings": {"temperature": 0.25, "top_k": 4}});
    let (status, chat) = gateway.post("/api/chats", chat).await;
    assert_eq!(status, 201, "{chat}");
    let player = Player::new();
    let body = json!({
        "content": [{"type": "text", "text": player.message()}],
        "options": {"settings": {"temperature": 0.0}},
    });
    let path = format!("/api/chats/{}/messages", id(&chat["id"]));
    let (_, started) = gateway.post(&path, body).await;
    player.text("ok");
    player.finish("stop", 1);
    let snapshot = finished(&gateway, &started).await;
    let receipt = &snapshot["message"]["receipt"];
    assert_eq!(receipt["profile"], "one");
    assert_eq!(receipt["system_prompt"], "Be brief.");
    let request = &receipt["request"];
    assert_eq!(request["temperature"], 0.0);
    assert_eq!(
        (&request["top_k"], &request["min_p"]),
        (&json!(4), &json!(0.1))
    );
}

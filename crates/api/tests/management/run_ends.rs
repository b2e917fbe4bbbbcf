//! How the end of a run is stored and published.

use std::num::NonZeroU64;
use std::time::Duration;

use mlxm_store::{OWNER, Uuid, chats, messages};
use reqwest::Method;
use serde_json::{Value, json};

use crate::events::Events;
use crate::player::Player;
use crate::run_readers::{new_chat, send, text_of};
use crate::runs::{finished, has_text, id};
use crate::support::{TestGateway, problem};
use crate::wait::wait_for;

/// Lets the database accept no result of a run.
const REJECT_RESULTS: &str = "CREATE TRIGGER reject BEFORE UPDATE ON runs WHEN NEW.finished_at_ms IS NOT NULL \
    BEGIN SELECT RAISE(ABORT, 'the test rejects it'); END";
const ACCEPT_RESULTS: &str = "DROP TRIGGER reject";

fn uuid(value: &Value) -> Uuid {
    id(value).parse().unwrap()
}

async fn events_of(gateway: &TestGateway, topic: &str) -> Events {
    Events::open(gateway, &format!("/api/events?topics={topic}"), None).await
}

/// Reads events until a run has ended.
async fn read_end(events: &mut Events, started: &Value) {
    loop {
        let (_, event) = events.next().await.unwrap();
        let event = &event["event"]["event"];
        if event["type"] == "finished" && event["run"] == started["run"]["id"] {
            return;
        }
    }
}

#[tokio::test]
async fn next_message_is_accepted_as_soon_as_the_end_is_there() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let mut events = events_of(&gateway, &format!("chat:{chat}")).await;
    for round in 0..12 {
        let player = Player::new();
        let started = send(&gateway, &chat, &player.message()).await;
        player.text("ok");
        player.finish("stop", 1);
        if round % 2 == 0 {
            read_end(&mut events, &started).await;
        } else {
            finished(&gateway, &started).await;
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn result_that_the_database_rejects_is_published_and_stored_later() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let mut events = events_of(&gateway, &format!("chat:{chat}")).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    player.text("kept");
    has_text(&gateway, &started, "kept").await;
    gateway.sql(REJECT_RESULTS).await;
    player.finish("stop", 1);
    read_end(&mut events, &started).await;
    let path = format!("/api/chats/{chat}");
    let (_, shown) = gateway.get(&path).await;
    assert_eq!(shown["messages"][1]["state"], "complete", "{shown}");
    assert_eq!(shown["runs"][0]["id"], started["run"]["id"]);

    // Longer than a short failure.
    tokio::time::sleep(Duration::from_secs(6)).await;
    gateway.sql(ACCEPT_RESULTS).await;
    let is_stored = |shown: &Value| (shown["runs"] == json!([])).then(|| shown.clone());
    let stored = gateway.wait_for(&path, is_stored).await;
    assert_eq!(stored["messages"][1]["state"], "complete", "{stored}");
    assert_eq!(text_of(&stored["messages"][1]), "kept");
    let next = Player::new();
    let started = send(&gateway, &chat, &next.message()).await;
    next.finish("stop", 0);
    finished(&gateway, &started).await;
    gateway.stop().await;
}

#[tokio::test]
async fn snapshot_has_the_tokens_and_times_so_far() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    player.text("so far");
    let (chat, message) = (uuid(&json!(chat)), uuid(&started["run"]["message"]));
    let stored = wait_for(async || {
        let stored = messages::get(gateway.state.store(), OWNER, chat, message).await;
        let stored = stored.unwrap();
        (!stored.body.text().is_empty()).then_some(stored)
    })
    .await;
    assert_eq!(stored.state, messages::MessageState::Running);
    let usage = stored.body.usage.unwrap();
    assert_eq!(usage.completion_tokens, 1);
    player.finish("stop", 1);
    finished(&gateway, &started).await;
    gateway.stop().await;
}

#[tokio::test]
async fn run_of_a_chat_that_another_gateway_deletes_is_stopped() {
    let gateway = TestGateway::start().await;
    let store = gateway.state.store();
    for is_purged in [false, true] {
        let chat = new_chat(&gateway).await;
        let player = Player::new();
        let started = send(&gateway, &chat, &player.message()).await;
        player.text("begun");
        has_text(&gateway, &started, "begun").await;
        let code = if is_purged {
            "run_not_found"
        } else {
            "chat_not_found"
        };
        chats::delete(store, OWNER, uuid(&json!(chat)))
            .await
            .unwrap();
        if is_purged {
            let batch = NonZeroU64::new(10).unwrap();
            assert!(chats::purge(store, i64::MAX, batch).await.unwrap() > 0);
        }
        player.text(" and more");
        let run = format!("/api/runs/{}", id(&started["run"]["id"]));
        let is_gone = |body: &Value| (body["code"] == code).then_some(());
        gateway.wait_for(&run, is_gone).await;
        if !is_purged {
            let path = format!("/api/chats/{chat}");
            let (status, restored) = gateway.post(&format!("{path}/restore"), json!({})).await;
            assert_eq!(status, 200, "{restored}");
            let (_, shown) = gateway.get(&path).await;
            assert_eq!(shown["messages"][1]["state"], "stopped", "{shown}");
            assert_eq!(text_of(&shown["messages"][1]), "begun and more");
            // It is not among those that are purged.
            assert_eq!(gateway.get(&run).await.0, 200);
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn deletion_is_completed_without_its_client() {
    let gateway = TestGateway::start().await;
    let chat = new_chat(&gateway).await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    player.text("begun");
    has_text(&gateway, &started, "begun").await;
    let mut events = events_of(&gateway, "chats").await;
    // The deletion waits for the result of the run.
    gateway.sql(REJECT_RESULTS).await;
    let path = format!("/api/chats/{chat}");
    let deleting = tokio::spawn(gateway.request(Method::DELETE, &path).send());
    let is_deleted = |body: &Value| (body["code"] == "chat_not_found").then_some(());
    gateway.wait_for(&path, is_deleted).await;
    deleting.abort();
    assert!(deleting.await.is_err(), "it has not been completed yet");
    gateway.sql(ACCEPT_RESULTS).await;
    loop {
        let (_, event) = events.next().await.unwrap();
        let event = &event["event"];
        if event["type"] == "removed" && event["id"] == *chat {
            break;
        }
    }
    // The run has kept its text.
    let (status, restored) = gateway.post(&format!("{path}/restore"), json!({})).await;
    assert_eq!(status, 200, "{restored}");
    let (_, shown) = gateway.get(&path).await;
    assert_eq!(shown["messages"][1]["state"], "stopped", "{shown}");
    assert_eq!(text_of(&shown["messages"][1]), "begun");
    let again = gateway.delete(&path).await;
    assert_eq!(again.0, 204);
    let gone = gateway.delete(&path).await;
    assert_eq!(problem(&gone), (404, "chat_not_found", vec![]));
    gateway.stop().await;
}

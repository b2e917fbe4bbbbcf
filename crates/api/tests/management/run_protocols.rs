//! Runs in Anthropic's API have the same states and errors as those in OpenAI's.

use serde_json::{Value, json};

use crate::player::Player;
use crate::run_readers::{send, text_of};
use crate::runs::{finished, has_text, id, wait_for_run};
use crate::support::TestGateway;

const PROTOCOLS: [&str; 2] = ["openai", "anthropic"];

/// A chat in an API; returns its id.
async fn chat_in(gateway: &TestGateway, protocol: &str) -> String {
    let body = json!({"model": "org/small", "protocol": protocol});
    let (status, chat) = gateway.post("/api/chats", body).await;
    assert_eq!(status, 201, "{chat}");
    id(&chat["id"]).to_owned()
}

fn begin(player: &Player, protocol: &str, text: &str) {
    if protocol == "anthropic" {
        player.start_message();
        player.message_text(text);
    } else {
        player.text(text);
    }
}

#[tokio::test]
async fn run_no_longer_waits_once_its_prompt_is_computed() {
    let gateway = TestGateway::start().await;
    let chat = chat_in(&gateway, "anthropic").await;
    let player = Player::new();
    let started = send(&gateway, &chat, &player.message()).await;
    player.start_message();
    let snapshot = wait_for_run(&gateway, &started, |snapshot| {
        snapshot["run"]["state"] == "prefill"
    })
    .await;
    let run = &snapshot["run"];
    assert_eq!(run["waiting"], Value::Null);
    assert_eq!(
        run["prefill"],
        json!({"computed": 20, "cached": 16, "of": 20})
    );
    player.message_text("done");
    player.finish_message("end_turn");
    let snapshot = finished(&gateway, &started).await;
    assert_eq!(snapshot["message"]["usage"]["prompt_tokens"], 20);
    gateway.stop().await;
}

#[tokio::test]
async fn run_that_is_cancelled_in_the_list_of_requests_is_stopped() {
    let gateway = TestGateway::start().await;
    for protocol in PROTOCOLS {
        let chat = chat_in(&gateway, protocol).await;
        let player = Player::new();
        let started = send(&gateway, &chat, &player.message()).await;
        begin(&player, protocol, "so far");
        has_text(&gateway, &started, "so far").await;
        let requests = "/api/servers/org%2Fsmall/requests";
        let only = |body: &Value| {
            body["requests"]
                .get(0)
                .map(|request| id(&request["id"]).to_owned())
        };
        let request = gateway.wait_for(requests, only).await;
        let (status, body) = gateway
            .post(&format!("{requests}/{request}/cancel"), json!({}))
            .await;
        assert_eq!(status, 204, "{body}");
        let snapshot = finished(&gateway, &started).await;
        let message = &snapshot["message"];
        assert_eq!(message["state"], "stopped", "{protocol}: {message}");
        assert_eq!(message["finish_reason"], "stopped");
        assert_eq!(message["problem"], Value::Null);
        assert_eq!(text_of(message), "so far");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn lost_server_is_the_same_problem_in_both_apis() {
    let gateway = TestGateway::start().await;
    let mut all = Vec::new();
    for protocol in PROTOCOLS {
        let chat = chat_in(&gateway, protocol).await;
        let player = Player::new();
        let started = send(&gateway, &chat, &player.message()).await;
        begin(&player, protocol, "so far");
        has_text(&gateway, &started, "so far").await;
        player.cut();
        all.push(started);
    }
    for started in all {
        let snapshot = finished(&gateway, &started).await;
        let message = &snapshot["message"];
        assert_eq!(message["state"], "failed", "{message}");
        assert_eq!(text_of(message), "so far");
        assert_eq!(message["problem"]["code"], "worker_failed", "{message}");
    }
    gateway.stop().await;
}

//! Branches of a chat.

use mlxm_store::Uuid;
use serde_json::{Value, json};

use super::{branches, detail, file, find, import, path, texts, titles};
use crate::support::{TestGateway, problem};

async fn start() -> (TestGateway, Value) {
    let gateway = TestGateway::start().await;
    let chat = import(&gateway, file("Sky", branches())).await;
    (gateway, chat)
}

#[tokio::test]
async fn newest_branch_through_a_message_is_opened() {
    let (gateway, chat) = start().await;
    let shown = detail(&gateway, &chat).await;
    let text = |id: &Value, shown: &Value| {
        let messages = shown["messages"].as_array().unwrap();
        let message = messages
            .iter()
            .find(|message| message["id"] == *id)
            .unwrap();
        message["content"][0]["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(text(&shown["chat"]["leaf_id"], &shown), "Really?");
    for (through, leaf) in [
        ("Because of scattering.", "Because of scattering."),
        ("It reflects the sea.", "Really?"),
        ("Why is the sky blue?", "Really?"),
    ] {
        let body = json!({"message": find(&shown, through)["id"]});
        let (status, opened) = gateway.post(&format!("{}/leaf", path(&chat)), body).await;
        assert_eq!(status, 200, "{opened}");
        assert_eq!(text(&opened["leaf_id"], &shown), leaf);
        let now = detail(&gateway, &chat).await;
        assert_eq!(now["chat"]["leaf_id"], opened["leaf_id"]);
    }
    let body = json!({"message": Uuid::now_v7()});
    let unknown = gateway.post(&format!("{}/leaf", path(&chat)), body).await;
    assert_eq!(problem(&unknown).1, "message_not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn fork_copies_the_messages_up_to_one() {
    let (gateway, chat) = start().await;
    let shown = detail(&gateway, &chat).await;
    let response = find(&shown, "It reflects the sea.");
    let body = json!({"message": response["id"]});
    let (status, fork) = gateway.post(&format!("{}/fork", path(&chat)), body).await;
    assert_eq!(status, 201, "{fork}");
    assert_eq!(fork["title"], "Sky (fork)");
    assert_eq!(fork["model"], chat["model"]);
    let copy = detail(&gateway, &fork).await;
    assert_eq!(
        texts(&copy),
        ["Why is the sky blue?", "It reflects the sea."]
    );
    assert_ne!(copy["messages"][1]["id"], response["id"]);
    assert_eq!(copy["chat"]["leaf_id"], copy["messages"][1]["id"]);
    // The first one is as it was.
    let now = detail(&gateway, &chat).await;
    assert_eq!(now["messages"], shown["messages"]);
    let mut all = titles(&gateway, "").await;
    all.sort();
    assert_eq!(all, ["Sky", "Sky (fork)"]);
    gateway.stop().await;
}

#[tokio::test]
async fn deleted_messages_are_restored_together() {
    let (gateway, chat) = start().await;
    let shown = detail(&gateway, &chat).await;
    let response = find(&shown, "It reflects the sea.")["id"].clone();
    let message = format!("{}/messages/{}", path(&chat), response.as_str().unwrap());
    let (status, deleted) = gateway.delete(&message).await;
    assert_eq!(status, 200, "{deleted}");
    assert_eq!(deleted["messages"].as_array().unwrap().len(), 2);
    let left = detail(&gateway, &chat).await;
    assert_eq!(
        texts(&left),
        ["Why is the sky blue?", "Because of scattering."]
    );
    assert_eq!(
        left["chat"]["leaf_id"],
        find(&shown, "Because of scattering.")["id"]
    );
    assert_eq!(deleted["leaf_id"], left["chat"]["leaf_id"]);
    assert_eq!(
        problem(&gateway.delete(&message).await).1,
        "message_not_found"
    );

    let restore = format!("{}/messages/restore", path(&chat));
    let body = json!({"messages": deleted["messages"]});
    let (status, restored) = gateway.post(&restore, body.clone()).await;
    assert_eq!(status, 200, "{restored}");
    assert_eq!(texts(&restored), ["It reflects the sea.", "Really?"]);
    let now = detail(&gateway, &chat).await;
    assert_eq!(now["messages"], shown["messages"]);
    assert_eq!(now["chat"]["leaf_id"], shown["chat"]["leaf_id"]);
    assert_eq!(
        problem(&gateway.post(&restore, body).await).1,
        "message_not_found"
    );
    let empty = gateway.post(&restore, json!({"messages": []})).await;
    assert_eq!(problem(&empty), (400, "invalid_request", vec!["messages"]));
    gateway.stop().await;
}

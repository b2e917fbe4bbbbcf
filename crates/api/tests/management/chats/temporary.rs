//! Temporary chats, which are in memory only.

use std::path::Path;

use data_encoding::BASE64;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{create, detail, path, titles};
use crate::player::Player;
use crate::run_readers::send;
use crate::support::{TestGateway, problem};

/// Whether a file of the database has the text.
fn is_on_disk(home: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(home).unwrap();
    let mut files = files.map(|file| file.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("mlxm.db")
    });
    files.any(|file| {
        let content = std::fs::read(file).unwrap();
        content
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

#[tokio::test]
async fn temporary_chat_is_never_written_to_the_disk() {
    const TEMPORARY: &str = "a question that leaves no trace";
    const STORED: &str = "a question that is stored";
    let gateway = TestGateway::start().await;
    let temporary = create(
        &gateway,
        json!({"is_temporary": true, "model": "org/small"}),
    )
    .await;
    assert_eq!(temporary["is_temporary"], true);
    let stored = create(&gateway, json!({"model": "org/other"})).await;
    for (chat, text) in [(&temporary, TEMPORARY), (&stored, STORED)] {
        let body = json!({"content": [{"type": "text", "text": text}]});
        let (status, started) = gateway
            .post(&format!("{}/messages", path(chat)), body)
            .await;
        assert_eq!(status, 202, "{started}");
        let shown = detail(&gateway, chat).await;
        assert_eq!(shown["messages"][0]["content"][0]["text"], text);
        assert_eq!(shown["chat"]["title"], text);
    }
    assert!(is_on_disk(gateway.home(), STORED));
    assert!(!is_on_disk(gateway.home(), TEMPORARY));
    assert_eq!(titles(&gateway, "").await, [STORED]);
    assert_eq!(titles(&gateway, "?q=trace").await, Vec::<String>::new());

    let (status, exported) = gateway.get(&format!("{}/export", path(&temporary))).await;
    assert_eq!(status, 200, "{exported}");
    assert_eq!(gateway.delete(&path(&temporary)).await.0, 204);
    let gone = gateway.get(&path(&temporary)).await;
    assert_eq!(problem(&gone), (404, "chat_not_found", vec![]));
    let restore = format!("{}/restore", path(&temporary));
    let restored = gateway.post(&restore, json!({})).await;
    assert_eq!(problem(&restored).1, "chat_not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn temporary_chat_has_files_forks_and_the_settings_of_a_persona() {
    let gateway = TestGateway::start().await;
    let persona = json!({"name": "Teacher", "system_prompt": "Explain.", "settings": {"temperature": 0.5, "top_k": 3}});
    let (_, persona) = gateway.post("/api/personas", persona).await;
    let body = json!({
        "is_temporary": true, "model": "org/small", "persona_id": persona["id"], "settings": {"top_k": 7},
    });
    let chat = create(&gateway, body).await;
    assert_eq!(chat["system_prompt"], "Explain.");
    assert_eq!(chat["settings"], json!({"temperature": 0.5, "top_k": 7}));
    let change = json!({"persona_id": persona["id"]});
    let response = gateway.send(Method::PATCH, &path(&chat), change).await;
    assert_eq!(problem(&response).2, ["persona_id"]);

    let upload = json!({"name": "a.txt", "data": BASE64.encode(b"content")});
    let (_, attachment) = gateway.post("/api/attachments", upload).await;
    let body = json!({"content": [{"type": "attachment", "hash": attachment["hash"]}]});
    let (status, started) = gateway
        .post(&format!("{}/messages", path(&chat)), body)
        .await;
    assert_eq!(status, 202, "{started}");
    let shown = detail(&gateway, &chat).await;
    assert_eq!(shown["chat"]["title"], "a.txt");
    let first = shown["messages"][0]["id"].clone();
    let (status, fork) = gateway
        .post(&format!("{}/fork", path(&chat)), json!({"message": first}))
        .await;
    assert_eq!(
        (status, &fork["is_temporary"]),
        (201, &json!(true)),
        "{fork}"
    );
    assert_eq!(gateway.delete(&path(&chat)).await.0, 204);
    let (_, exported) = gateway.get(&format!("{}/export", path(&fork))).await;
    assert_eq!(
        exported["attachments"][0]["data"],
        BASE64.encode(b"content")
    );
    gateway.stop().await;
}

#[tokio::test]
async fn temporary_file_is_never_written_to_the_disk() {
    const TEMPORARY: &str = "a file that leaves no trace";
    const STORED: &str = "a file that is stored";
    let gateway = TestGateway::start().await;
    let upload = async |text: &str, is_temporary: bool| {
        let file = json!({"name": "a.txt", "data": BASE64.encode(text.as_bytes()), "is_temporary": is_temporary});
        let (status, attachment) = gateway.post("/api/attachments", file).await;
        assert_eq!(status, 201, "{attachment}");
        attachment["hash"].clone()
    };
    let (temporary, stored) = (upload(TEMPORARY, true).await, upload(STORED, false).await);
    let chat = create(
        &gateway,
        json!({"is_temporary": true, "model": "org/small"}),
    )
    .await;
    let body = json!({"content": [{"type": "attachment", "hash": temporary}]});
    let (status, started) = gateway
        .post(&format!("{}/messages", path(&chat)), body.clone())
        .await;
    assert_eq!(status, 202, "{started}");
    assert!(is_on_disk(gateway.home(), STORED));
    assert!(!is_on_disk(gateway.home(), TEMPORARY));
    let (_, list) = gateway.get("/api/attachments").await;
    let listed = list["attachments"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["hash"]), (1, &stored));
    let content = format!("/api/attachments/{}", temporary.as_str().unwrap());
    assert_eq!(gateway.get(&content).await, (200, json!(TEMPORARY)));

    // A chat that is stored has its files, wherever they were added.
    let kept = create(&gateway, json!({"model": "org/small"})).await;
    let (status, started) = gateway
        .post(&format!("{}/messages", path(&kept)), body)
        .await;
    assert_eq!(status, 202, "{started}");
    let (_, exported) = gateway.get(&format!("{}/export", path(&kept))).await;
    assert_eq!(
        exported["attachments"],
        json!([{"name": "a.txt", "media_type": "text/plain", "data": BASE64.encode(TEMPORARY.as_bytes())}])
    );
    gateway.stop().await;
}

#[tokio::test]
async fn messages_are_restored_after_another_temporary_chat_was_deleted() {
    let gateway = TestGateway::start().await;
    let temporary = json!({"is_temporary": true, "model": "org/small"});
    let chat = create(&gateway, temporary.clone()).await;
    let other = create(&gateway, temporary).await;
    let player = Player::new();
    let started = send(&gateway, chat["id"].as_str().unwrap(), &player.message()).await;
    let stop = format!("/api/runs/{}/stop", started["run"]["id"].as_str().unwrap());
    let (status, stopped) = gateway.post(&stop, json!({})).await;
    assert_eq!(status, 200, "{stopped}");
    let first = started["messages"][0]["id"].as_str().unwrap();
    let (status, deleted) = gateway
        .delete(&format!("{}/messages/{first}", path(&chat)))
        .await;
    assert_eq!(status, 200, "{deleted}");
    assert_eq!(gateway.delete(&path(&other)).await.0, 204);
    let (status, restored) = gateway
        .post(
            &format!("{}/messages/restore", path(&chat)),
            json!({"messages": deleted["messages"]}),
        )
        .await;
    assert_eq!(status, 200, "{restored}");
    assert_eq!(restored["messages"].as_array().unwrap().len(), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn oldest_temporary_chat_is_deleted_when_there_are_too_many() {
    let gateway = TestGateway::start().await;
    let first = create(&gateway, json!({"is_temporary": true})).await;
    for _ in 0..32 {
        create(&gateway, json!({"is_temporary": true})).await;
    }
    let gone = gateway.get(&path(&first)).await;
    assert_eq!(problem(&gone).1, "chat_not_found");
    // Several tabs may delete the same oldest one.
    for _ in 0..4 {
        let tabs = (0..8).map(|_| create(&gateway, json!({"is_temporary": true})));
        join_all(tabs).await;
    }
    gateway.stop().await;
}

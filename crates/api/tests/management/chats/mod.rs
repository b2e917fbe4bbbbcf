//! `/api/chats`, `/api/attachments`, `/api/personas` and `/api/prompts`, without runs.

mod attachments;
mod branches;
mod conversations;
mod count;
mod files;
mod library;
mod temporary;

use mlxm_store::Uuid;
use serde_json::{Value, json};

use crate::support::TestGateway;

/// An id in a file.
fn id(number: u128) -> Value {
    json!(Uuid::from_u128(number))
}

/// A message in a file.
fn message(number: u128, parent: Option<u128>, role: &str, text: &str) -> Value {
    json!({
        "id": id(number),
        "parent_id": parent.map(id),
        "role": role,
        "content": [{"type": "text", "text": text}],
        "state": "complete",
        "created_at_ms": number as u64,
    })
}

/// A file of a chat with this title.
fn file(title: &str, messages: Vec<Value>) -> Value {
    json!({
        "version": 1,
        "chat": {
            "id": id(99), "title": title, "model": "org/small", "protocol": "openai", "settings": {}, "tags": [],
            "is_pinned": false, "is_temporary": false, "message_count": 0, "created_at_ms": 7, "updated_at_ms": 7,
        },
        "messages": messages,
    })
}

/// A question with two responses, of which the second has another question.
fn branches() -> Vec<Value> {
    vec![
        message(1, None, "user", "Why is the sky blue?"),
        message(2, Some(1), "assistant", "Because of scattering."),
        message(3, Some(1), "assistant", "It reflects the sea."),
        message(4, Some(3), "user", "Really?"),
    ]
}

async fn import(gateway: &TestGateway, file: Value) -> Value {
    let (status, chat) = gateway.post("/api/chats/import", file).await;
    assert_eq!(status, 201, "{chat}");
    chat
}

async fn create(gateway: &TestGateway, body: Value) -> Value {
    let (status, chat) = gateway.post("/api/chats", body).await;
    assert_eq!(status, 201, "{chat}");
    chat
}

/// The path of a chat.
fn path(chat: &Value) -> String {
    format!("/api/chats/{}", chat["id"].as_str().unwrap())
}

async fn detail(gateway: &TestGateway, chat: &Value) -> Value {
    let (status, detail) = gateway.get(&path(chat)).await;
    assert_eq!(status, 200, "{detail}");
    detail
}

/// The texts of all messages, oldest first.
fn texts(list: &Value) -> Vec<&str> {
    let messages = list["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["content"][0]["text"].as_str().unwrap())
        .collect()
}

/// The message with this text.
fn find<'a>(list: &'a Value, text: &str) -> &'a Value {
    let mut messages = list["messages"].as_array().unwrap().iter();
    messages
        .find(|message| message["content"][0]["text"] == text)
        .unwrap()
}

async fn titles(gateway: &TestGateway, query: &str) -> Vec<String> {
    let (status, page) = gateway.get(&format!("/api/chats{query}")).await;
    assert_eq!(status, 200, "{page}");
    let chats = page["chats"].as_array().unwrap().iter();
    chats
        .map(|entry| entry["chat"]["title"].as_str().unwrap().to_owned())
        .collect()
}

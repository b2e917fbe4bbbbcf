//! Exports and imports of chats.

use data_encoding::BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use super::{branches, create, detail, file, id, import, message, path, texts, titles};
use crate::support::{TestGateway, problem};

const CODE: &str = "fn main() {\n    // ```\n}\n";

/// A chat whose first message has a file.
fn file_with_attachment() -> Value {
    let mut file = file("With a file", branches());
    let hash = mlxm_store::attachments::hash(CODE.as_bytes());
    let part = json!({
        "type": "attachment", "hash": hash, "name": "main.rs", "media_type": "text/x-rust", "size_bytes": CODE.len(),
    });
    file["messages"][0]["content"]
        .as_array_mut()
        .unwrap()
        .push(part);
    file["attachments"] = json!([{"name": "main.rs", "data": BASE64.encode(CODE.as_bytes())}]);
    file
}

#[tokio::test]
async fn exported_chat_is_the_same_after_an_import() {
    let gateway = TestGateway::start().await;
    let mut source = file_with_attachment();
    source["chat"]["system_prompt"] = json!("Be brief.");
    source["chat"]["tags"] = json!(["physics"]);
    source["messages"][1]["reasoning"] = json!("Hm");
    source["messages"][1]["finish_reason"] = json!("length");
    source["messages"][1]["state"] = json!("running");
    let chat = import(&gateway, source).await;
    let (status, exported) = gateway.get(&format!("{}/export", path(&chat))).await;
    assert_eq!(status, 200, "{exported}");
    assert_eq!(exported["version"], 1);
    assert_eq!(
        exported["attachments"][0]["data"],
        BASE64.encode(CODE.as_bytes())
    );
    assert_eq!(exported["messages"][1]["state"], "interrupted");
    assert_eq!(exported["messages"][1]["finish_reason"], "length");

    let copy = import(&gateway, exported.clone()).await;
    assert_ne!(copy["id"], chat["id"]);
    for field in [
        "title",
        "model",
        "system_prompt",
        "tags",
        "message_count",
        "created_at_ms",
    ] {
        assert_eq!(copy[field], chat[field], "{field}");
    }
    let (_, again) = gateway.get(&format!("{}/export", path(&copy))).await;
    let without_ids = |exported: &Value| {
        let mut messages = exported["messages"].clone();
        for message in messages.as_array_mut().unwrap() {
            let fields = message.as_object_mut().unwrap();
            fields.remove("id");
            fields.remove("parent_id");
        }
        (messages, exported["attachments"].clone())
    };
    assert_eq!(without_ids(&again), without_ids(&exported));
    let shown = detail(&gateway, &copy).await;
    assert_eq!(texts(&shown).len(), 4);
    assert_eq!(
        shown["messages"][3]["parent_id"],
        shown["messages"][2]["id"]
    );
    gateway.stop().await;
}

/// A gateway whose clock was set back exports such files.
#[tokio::test]
async fn messages_of_a_file_may_have_any_order_and_are_listed_after_their_parents() {
    let gateway = TestGateway::start().await;
    let mut messages = branches();
    messages.reverse();
    for (index, message) in messages.iter_mut().enumerate() {
        message["created_at_ms"] = json!(index);
    }
    let chat = import(&gateway, file("Reversed", messages)).await;
    let shown = detail(&gateway, &chat).await;
    assert_eq!(
        texts(&shown),
        [
            "Why is the sky blue?",
            "It reflects the sea.",
            "Really?",
            "Because of scattering.",
        ]
    );
    let (_, exported) = gateway.get(&format!("{}/export", path(&chat))).await;
    let copy = import(&gateway, exported).await;
    assert_eq!(texts(&detail(&gateway, &copy).await), texts(&shown));
    gateway.stop().await;
}

#[tokio::test]
async fn markdown_has_the_open_branch_with_its_files() {
    let gateway = TestGateway::start().await;
    let chat = import(&gateway, file_with_attachment()).await;
    let request = gateway.request(
        Method::GET,
        &format!("{}/export?format=markdown", path(&chat)),
    );
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/markdown; charset=utf-8");
    assert_eq!(
        header("content-disposition"),
        "attachment; filename=\"with-a-file.md\""
    );
    let text = response.text().await.unwrap();
    assert!(text.starts_with("# With a file\n"), "{text}");
    assert!(
        text.contains("\n## You\n\nWhy is the sky blue?\n"),
        "{text}"
    );
    assert!(
        text.contains("\n````rs\nfn main() {\n    // ```\n}\n````\n"),
        "{text}"
    );
    assert!(
        text.contains("\n## Model\n\nIt reflects the sea.\n"),
        "{text}"
    );
    assert!(!text.contains("scattering"), "{text}");
    let unknown = gateway
        .get(&format!("{}/export?format=pdf", path(&chat)))
        .await;
    assert_eq!(problem(&unknown).2, ["format"]);
    gateway.stop().await;
}

#[tokio::test]
async fn invalid_files_are_rejected_by_field_and_leave_nothing() {
    let gateway = TestGateway::start().await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut file = file_with_attachment();
        change(&mut file);
        file
    };
    let text = |text: &str| BASE64.encode(text.as_bytes());
    for (body, field) in [
        (with(&|file| file["version"] = json!(2)), "version"),
        (
            with(&|file| file["messages"][3]["parent_id"] = id(77)),
            "messages[3].parent_id",
        ),
        (
            // A cycle.
            with(&|file| file["messages"][0]["parent_id"] = id(4)),
            "messages",
        ),
        (
            with(&|file| file["messages"][1]["parent_id"] = Value::Null),
            "messages[1].parent_id",
        ),
        (
            // Two with the same id.
            with(&|file| file["messages"][1]["id"] = id(1)),
            "messages",
        ),
        (
            with(&|file| file["messages"][2]["role"] = json!("system")),
            "messages[2].role",
        ),
        (
            with(&|file| file["chat"]["leaf_id"] = id(77)),
            "chat.leaf_id",
        ),
        (
            with(&|file| file["chat"]["tags"] = json!([" "])),
            "chat.tags[0]",
        ),
        (
            with(&|file| file["chat"]["settings"] = json!({"top_p": 7})),
            "chat.settings.top_p",
        ),
        (
            with(&|file| file["attachments"][0]["data"] = json!("?")),
            "attachments[0].data",
        ),
        (
            with(&|file| file["attachments"][0]["data"] = json!(text("other"))),
            "messages[0].content[1].hash",
        ),
        (
            with(&|file| {
                file.as_object_mut().unwrap().remove("messages");
            }),
            "messages",
        ),
    ] {
        let response = gateway.post("/api/chats/import", body).await;
        let (status, code, fields) = problem(&response);
        assert_eq!((status, code), (400, "invalid_request"), "{field}");
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    let binary = with(&|file| file["attachments"][0]["data"] = json!(text("a\0b")));
    let response = gateway.post("/api/chats/import", binary).await;
    assert_eq!(
        problem(&response),
        (400, "attachment_unsupported", vec!["attachments[0].data"])
    );
    let request = gateway
        .request(Method::POST, "/api/chats/import")
        .header("content-type", "application/json")
        .body("{\"version\": 1, ");
    let response = crate::support::response(request).await;
    assert_eq!(problem(&response).1, "invalid_body");
    assert_eq!(titles(&gateway, "").await, Vec::<String>::new());
    let (_, attachments) = gateway.get("/api/attachments").await;
    assert_eq!(attachments["attachments"], json!([]));
    gateway.stop().await;
}

#[tokio::test]
async fn a_file_may_be_larger_than_other_bodies() {
    let gateway = TestGateway::start().await;
    let text = "word ".repeat(500_000);
    let chat = import(
        &gateway,
        file("Large", vec![message(1, None, "user", &text)]),
    )
    .await;
    assert_eq!(texts(&detail(&gateway, &chat).await), [text.as_str()]);
    let body = json!({"title": text});
    let response = gateway.post("/api/chats", body).await;
    assert_eq!(problem(&response).1, "body_too_large");
    create(&gateway, json!({})).await;
    gateway.stop().await;
}

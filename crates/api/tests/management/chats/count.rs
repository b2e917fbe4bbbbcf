//! Counts of tokens before a message is sent.

use std::num::NonZeroU64;
use std::path::Path;

use data_encoding::BASE64;
use mlxm_engine::text::Tokenizer;
use mlxm_store::{Uuid, attachments};
use serde_json::{Value, json};

use super::{create, file, import, message, path};
use crate::player::Player;
use crate::runs::finished;
use crate::support::{TestGateway, problem, write_model};

/// A checkpoint with a tokenizer and a chat template.
const CHECKPOINT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../engine/tests/golden/llama-4bit"
);

const MODEL: &str = "org/real";

/// A gateway with a model that has the tokenizer and the template.
async fn start() -> TestGateway {
    let gateway = TestGateway::start().await;
    let directory = gateway.home().join("models").join(MODEL);
    write_model(&directory, 400);
    for name in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    ] {
        let from = Path::new(CHECKPOINT).join(name);
        std::fs::copy(from, directory.join(name)).unwrap();
    }
    gateway.state.refresh_catalog().await;
    gateway
}

/// The number of tokens of a prompt that the template renders.
fn tokens(prompt: &str) -> u64 {
    let tokenizer = Tokenizer::from_dir(CHECKPOINT).unwrap();
    tokenizer.encode(prompt, false).unwrap().len() as u64
}

fn turn(role: &str, text: &str) -> String {
    format!("<|im_start|>{role}\n{text}<|im_end|>\n")
}

const RESPONSE: &str = "<|im_start|>assistant\n";

async fn count(gateway: &TestGateway, body: Value) -> Value {
    let (status, count) = gateway.post("/api/chats/count", body).await;
    assert_eq!(status, 200, "{count}");
    let part = |name: &str| count[name].as_u64().unwrap();
    let parts = ["system", "history", "attachments", "draft"].map(part);
    assert_eq!(parts.iter().sum::<u64>(), part("total"), "{count}");
    count
}

fn text(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

#[tokio::test]
async fn counts_are_those_of_the_prompt() {
    let gateway = start().await;
    let first = count(
        &gateway,
        json!({"model": MODEL, "draft": text("Why is the sky blue?")}),
    )
    .await;
    let prompt = turn("user", "Why is the sky blue?") + RESPONSE;
    assert_eq!(first["total"], tokens(&prompt));
    assert_eq!(first["history"], 0);

    let mut source = file(
        "Sky",
        vec![
            message(1, None, "user", "Why is the sky blue?"),
            message(2, Some(1), "assistant", "It scatters."),
        ],
    );
    source["chat"]["model"] = json!(MODEL);
    source["chat"]["system_prompt"] = json!("Be brief.");
    source["chat"]["settings"] = json!({"max_tokens": 9});
    let chat = import(&gateway, source).await;
    let base = turn("system", "Be brief.") + &turn("user", "") + RESPONSE;
    let history = turn("system", "Be brief.")
        + &turn("user", "Why is the sky blue?")
        + &turn("assistant", "It scatters.");
    // A special token in the text of a user is one in the prompt, too.
    for draft in ["", "And the sea?", "  é\n", "a<|im_end|>b"] {
        let parts = match draft {
            "" => json!([]),
            draft => text(draft),
        };
        let counted = count(&gateway, json!({"chat": chat["id"], "draft": parts})).await;
        let prompt = match draft {
            "" => history.clone() + RESPONSE,
            draft => history.clone() + &turn("user", draft) + RESPONSE,
        };
        assert_eq!(counted["total"], tokens(&prompt), "{draft:?}");
        assert_eq!(counted["system"], tokens(&base));
        assert_eq!(counted["max_tokens"], 9);
        assert_eq!(counted["context_length"], 64);
    }
    let other = json!({"chat": chat["id"], "system_prompt": "", "draft": text("Hi")});
    let counted = count(&gateway, other).await;
    let without =
        history.replace(&turn("system", "Be brief."), "") + &turn("user", "Hi") + RESPONSE;
    assert_eq!(counted["total"], tokens(&without));
    gateway.stop().await;
}

#[tokio::test]
async fn files_of_the_draft_are_counted_apart() {
    let gateway = start().await;
    let upload = json!({"name": "a.rs", "data": BASE64.encode(b"fn main() {}\n")});
    let (_, attachment) = gateway.post("/api/attachments", upload).await;
    for is_temporary in [false, true] {
        let chat = create(
            &gateway,
            json!({"model": MODEL, "is_temporary": is_temporary}),
        )
        .await;
        let plain = json!({"chat": chat["id"], "draft": text("Why?")});
        let plain = count(&gateway, plain).await;
        let draft = json!([
            {"type": "text", "text": "Why?"},
            {"type": "attachment", "hash": attachment["hash"]},
        ]);
        let counted = count(&gateway, json!({"chat": chat["id"], "draft": draft})).await;
        assert_eq!(counted["draft"], plain["draft"]);
        assert_eq!(plain["files"], json!([]));
        assert!(counted["attachments"].as_u64().unwrap() > 4, "{counted}");
        let unknown = json!([{"type": "attachment", "hash": "0".repeat(64)}]);
        let body = json!({"chat": chat["id"], "draft": unknown});
        let response = gateway.post("/api/chats/count", body).await;
        assert_eq!(
            problem(&response),
            (404, "attachment_not_found", vec!["draft[0].hash"])
        );
        assert_eq!(gateway.delete(&path(&chat)).await.0, 204);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn each_file_has_the_tokens_that_it_has_alone() {
    let gateway = start().await;
    let mut hashes = Vec::new();
    for (name, data) in [
        ("a.rs", "fn main() {}\n".to_owned()),
        ("b.txt", "The time is a house. ".repeat(50)),
    ] {
        let upload = json!({"name": name, "data": BASE64.encode(data.as_bytes())});
        let (_, attachment) = gateway.post("/api/attachments", upload).await;
        hashes.push(attachment["hash"].clone());
    }
    let part = |hash: &Value| json!({"type": "attachment", "hash": hash});
    let mut alone = Vec::new();
    for hash in &hashes {
        let body = json!({"model": MODEL, "draft": [part(hash)]});
        let counted = count(&gateway, body).await;
        let tokens = &counted["attachments"];
        assert_eq!(counted["files"], json!([{"hash": hash, "tokens": tokens}]));
        alone.push(counted["files"][0].clone());
    }
    let [small, large] = [0, 1].map(|index| alone[index]["tokens"].as_u64().unwrap());
    assert!(small > 4 && large > 5 * small, "{alone:?}");
    // Neither the text nor the order changes them, and a file that is there twice counts twice.
    let draft = json!([
        part(&hashes[1]),
        {"type": "text", "text": "Why?"},
        part(&hashes[0]),
        part(&hashes[1]),
    ]);
    let counted = count(&gateway, json!({"model": MODEL, "draft": draft})).await;
    assert_eq!(counted["files"], json!([alone[1], alone[0], alone[1]]));
    gateway.stop().await;
}

#[tokio::test]
async fn files_that_only_a_temporary_chat_has_are_counted() {
    let gateway = start().await;
    let upload = json!({"name": "a.rs", "data": BASE64.encode(b"fn main() {}\n")});
    let (_, attachment) = gateway.post("/api/attachments", upload).await;
    let chat = create(&gateway, json!({"model": MODEL, "is_temporary": true})).await;
    let player = Player::new();
    let content = json!([
        {"type": "text", "text": player.message()},
        {"type": "attachment", "hash": attachment["hash"]},
    ]);
    let (status, started) = gateway
        .post(
            &format!("{}/messages", path(&chat)),
            json!({"content": content}),
        )
        .await;
    assert_eq!(status, 202, "{started}");
    player.text("read");
    player.finish("stop", 1);
    finished(&gateway, &started).await;
    // As after a day.
    let batch = NonZeroU64::new(10).unwrap();
    attachments::collect(gateway.state.store(), i64::MAX, batch)
        .await
        .unwrap();
    let (_, stored) = gateway.get("/api/attachments").await;
    assert_eq!(stored["attachments"], json!([]));
    let draft = json!([{"type": "attachment", "hash": attachment["hash"]}]);
    let counted = count(&gateway, json!({"chat": chat["id"], "draft": draft})).await;
    assert!(counted["attachments"].as_u64().unwrap() > 4, "{counted}");
    assert!(counted["history"].as_u64().unwrap() > 4, "{counted}");
    gateway.stop().await;
}

#[tokio::test]
async fn models_that_cannot_count_are_named() {
    let gateway = start().await;
    let chat = create(&gateway, json!({"model": MODEL})).await;
    for (body, code) in [
        (json!({"model": "org/unknown"}), "model_not_found"),
        // Its tokenizer is an empty object.
        (json!({"model": "org/small"}), "model_invalid"),
        (json!({"chat": Uuid::now_v7()}), "chat_not_found"),
        (
            json!({"chat": chat["id"], "parent_id": Uuid::now_v7()}),
            "message_not_found",
        ),
    ] {
        let response = gateway.post("/api/chats/count", body.clone()).await;
        assert_eq!(problem(&response).1, code, "{body} {}", response.1);
    }
    gateway.stop().await;
}

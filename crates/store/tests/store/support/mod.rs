//! Stores for tests.

pub mod postgres;

use mlxm_store::chats::{self, Chat, ChatConfig, ChatProtocol};
use mlxm_store::gateways::{self, Gateway, NewGateway};
use mlxm_store::messages::{self, Message, MessageBody, NewMessage, Role};
use mlxm_store::runs::{self, NewRun, RunTarget, StartedRun};
use mlxm_store::{Location, OWNER, OpenOptions, Store, StoreError, Uuid};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Runs a test's future on a runtime of its own.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A directory that is used as `$MLXM_HOME`.
pub fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The SQLite file of a home.
pub fn database(home: &Path) -> PathBuf {
    home.join("mlxm.db")
}

/// The SQLite location of a home.
pub fn location(home: &Path) -> Location {
    Location::new(None, home).unwrap()
}

/// Opens the SQLite database of a home.
pub async fn open(home: &Path) -> Result<Store, StoreError> {
    Store::open(&OpenOptions::new(location(home), home)).await
}

/// A registered gateway.
pub async fn gateway(store: &Store) -> Gateway {
    let new = NewGateway {
        id: None,
        host: "host".to_owned(),
        address: "http://127.0.0.1:8080".to_owned(),
        version: "0.1.0".to_owned(),
        pid: 4711,
    };
    gateways::register(store, new).await.unwrap()
}

/// An empty chat with a title.
pub async fn chat(store: &Store, title: &str) -> Chat {
    let config = ChatConfig {
        title: title.to_owned(),
        ..ChatConfig::default()
    };
    chats::create(store, OWNER, config).await.unwrap()
}

/// A message of the user in a chat.
pub async fn say(store: &Store, chat_id: Uuid, parent_id: Option<Uuid>, text: &str) -> Message {
    let new = NewMessage {
        parent_id,
        role: Role::User,
        body: MessageBody::from_text(text),
        model: None,
    };
    messages::insert(store, OWNER, chat_id, new).await.unwrap()
}

/// A run of a gateway that responds to a message.
pub fn response_to(message_id: Uuid, gateway_id: Uuid) -> NewRun {
    NewRun {
        id: Uuid::now_v7(),
        gateway_id,
        request_id: "req-1".to_owned(),
        model: "owner/name".to_owned(),
        protocol: ChatProtocol::OpenAi,
        target: RunTarget::Response {
            parent_id: message_id,
        },
        idempotency_key: None,
    }
}

/// A run of a gateway, in a chat of its own.
pub async fn respond(store: &Store, gateway_id: Uuid) -> StartedRun {
    let chat = chat(store, "chat").await;
    let message = say(store, chat.id, None, "question").await;
    let run = response_to(message.id, gateway_id);
    runs::start(store, OWNER, chat.id, run).await.unwrap()
}

/// Checks the order of messages after the clock was set back, so that a message has a greater id than the next one. `execute`
/// executes a statement: the store makes greater ids only.
pub async fn check_order_after_the_clock_was_set_back(
    store: &Store,
    execute: impl AsyncFnOnce(&'static str),
) {
    let chat = chat(store, "chat").await;
    say(store, chat.id, None, "second").await;
    say(store, chat.id, None, "first").await;
    execute(
        "UPDATE messages SET parent_id = (SELECT id FROM messages ORDER BY id DESC LIMIT 1) \
            WHERE id = (SELECT id FROM messages ORDER BY id LIMIT 1)",
    )
    .await;
    let listed = messages::list(store, OWNER, chat.id).await.unwrap();
    let texts: Vec<String> = listed.iter().map(|message| message.body.text()).collect();
    assert_eq!(texts, ["first", "second"]);
    assert_eq!(listed[1].parent_id, Some(listed[0].id));
}

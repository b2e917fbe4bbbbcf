//! Changes of two gateways at the same time, on Postgres: the later one waits, and sees what the earlier one has changed.

use crate::postgres::options;
use crate::support::postgres::Cluster;
use crate::support::{chat, gateway, home, respond, response_to, say};
use mlxm_store::attachments::{self, Attachment};
use mlxm_store::chats::{self, Chat, ChatConfig};
use mlxm_store::messages::{self, Message, MessageBody, NewMessage, Part, Role};
use mlxm_store::runs::{self, RunState};
use mlxm_store::{OWNER, Store, StoreError, Uuid, now_ms};
use sqlx::{AssertSqlSafe, Connection};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::time::Duration;

const DATABASE: &str = "concurrent";
const BATCH: NonZeroU64 = NonZeroU64::new(10).unwrap();

/// Only reached if a statement waits that must not.
const TIMEOUT: Duration = Duration::from_mins(1);

pub async fn changes_follow_each_other(cluster: &mut Cluster) {
    let url = cluster.create_database(DATABASE).await;
    let home = home();
    let store = Store::open(&options(&url, home.path())).await.unwrap();
    runs_of_gateways_without_a_heartbeat_are_interrupted(cluster, &store).await;
    a_run_that_was_interrupted_is_not_saved(cluster, &store).await;
    a_deleted_chat_is_not_changed(cluster, &store).await;
    a_deleted_message_is_not_used(cluster, &store).await;
    a_message_that_a_run_has_begun_to_write_is_not_deleted(cluster, &store).await;
    an_attachment_with_a_new_reference_is_not_collected(cluster, &store).await;
    a_collected_attachment_is_not_referred_to(cluster, &store).await;
    store.close().await;
}

/// The result of `change`, which waits for a transaction of another gateway that executes `sql`.
async fn after<T: Send + 'static>(
    cluster: &mut Cluster,
    sql: String,
    change: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let mut other = cluster.connect(DATABASE).await;
    sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {sql}")))
        .execute(&mut other)
        .await
        .unwrap();
    let change = tokio::spawn(change);
    cluster.wait_for_waiting(DATABASE).await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    change.await.unwrap()
}

/// What another gateway executes before it changes messages of a chat.
fn lock(chat: &Chat) -> String {
    format!(
        "SELECT 1 FROM chats WHERE id = '{}' FOR NO KEY UPDATE",
        chat.id
    )
}

fn deletion(chat: &Chat, message: &Message) -> String {
    let id = message.id;
    format!(
        "{}; UPDATE messages SET deleted_at_ms = 1 WHERE id = '{id}'",
        lock(chat)
    )
}

fn is_missing(error: &StoreError, expected: &str) {
    assert!(
        matches!(error, StoreError::NotFound { noun, .. } if *noun == expected),
        "{error}"
    );
}

fn following(parent_id: Option<Uuid>, content: Vec<Part>) -> NewMessage {
    NewMessage {
        parent_id,
        role: Role::User,
        body: MessageBody {
            content,
            ..MessageBody::default()
        },
        model: None,
    }
}

async fn a_deleted_chat_is_not_changed(cluster: &mut Cluster, store: &Store) {
    let id = chat(store, "chat").await.id;
    let sql = format!("UPDATE chats SET deleted_at_ms = 1 WHERE id = '{id}'");
    let changing = store.clone();
    let change = async move { chats::update(&changing, OWNER, id, ChatConfig::default()).await };
    is_missing(
        &after(cluster, sql, Box::pin(change)).await.unwrap_err(),
        "chat",
    );
    let restored = chats::restore(store, OWNER, id).await.unwrap();
    assert_eq!(restored.config.title, "chat");
}

type Change = fn(Store, Uuid, Uuid) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

async fn a_deleted_message_is_not_used(cluster: &mut Cluster, store: &Store) {
    let changes: [Change; 4] = [
        |store, chat_id, message_id| {
            Box::pin(async move {
                let new = following(Some(message_id), Vec::new());
                messages::insert(&store, OWNER, chat_id, new)
                    .await
                    .map(drop)
            })
        },
        |store, chat_id, message_id| {
            Box::pin(async move {
                let run = response_to(message_id, Uuid::now_v7());
                runs::start(&store, OWNER, chat_id, run).await.map(drop)
            })
        },
        |store, chat_id, message_id| {
            Box::pin(async move {
                chats::set_leaf(&store, OWNER, chat_id, message_id)
                    .await
                    .map(drop)
            })
        },
        |store, chat_id, message_id| {
            Box::pin(async move {
                messages::delete(&store, OWNER, chat_id, message_id)
                    .await
                    .map(drop)
            })
        },
    ];
    for change in changes {
        let chat = chat(store, "chat").await;
        let message = say(store, chat.id, None, "text").await;
        let change = change(store.clone(), chat.id, message.id);
        let error = after(cluster, deletion(&chat, &message), change)
            .await
            .unwrap_err();
        is_missing(&error, "message");
        assert!(
            messages::list(store, OWNER, chat.id)
                .await
                .unwrap()
                .is_empty()
        );
    }

    let chat = chat(store, "chat").await;
    let first = say(store, chat.id, None, "first").await;
    let second = say(store, chat.id, Some(first.id), "second").await;
    messages::delete(store, OWNER, chat.id, second.id)
        .await
        .unwrap();
    let sql = deletion(&chat, &first);
    let restoring = store.clone();
    let restore = async move { messages::restore(&restoring, OWNER, chat.id, &[second.id]).await };
    is_missing(
        &after(cluster, sql, Box::pin(restore)).await.unwrap_err(),
        "message",
    );
}

async fn a_message_that_a_run_has_begun_to_write_is_not_deleted(
    cluster: &mut Cluster,
    store: &Store,
) {
    let chat = chat(store, "chat").await;
    let message_id = say(store, chat.id, None, "text").await.id;
    let sql = format!(
        "{}; UPDATE messages SET state = 'running' WHERE id = '{message_id}'",
        lock(&chat)
    );
    let deleting = store.clone();
    let delete = async move { messages::delete(&deleting, OWNER, chat.id, message_id).await };
    let error = after(cluster, sql, Box::pin(delete)).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Busy { id, .. } if id == message_id),
        "{error}"
    );
}

async fn put(store: &Store, content: &str) -> (Attachment, Vec<Part>) {
    let file = attachments::put(
        store,
        OWNER,
        "file",
        "text/plain",
        content.as_bytes().to_vec(),
    );
    let file = file.await.unwrap();
    let part = Part::Attachment {
        hash: file.hash.clone(),
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        size_bytes: file.size_bytes,
    };
    (file, vec![part])
}

async fn an_attachment_with_a_new_reference_is_not_collected(cluster: &mut Cluster, store: &Store) {
    let chat = chat(store, "chat").await;
    let message = say(store, chat.id, None, "text").await;
    let (file, _) = put(store, "used").await;
    put(store, "unused").await;
    let mut other = cluster.connect(DATABASE).await;
    let sql = format!(
        "BEGIN; INSERT INTO message_attachments (message_id, hash, user_id) VALUES ('{}', '{}', '{OWNER}')",
        message.id, file.hash
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut other)
        .await
        .unwrap();
    let collect = attachments::collect(store, now_ms() + 1, BATCH);
    let collected = tokio::time::timeout(TIMEOUT, collect).await.unwrap();
    assert_eq!(collected.unwrap(), 1, "the other one");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let kept = attachments::get(store, OWNER, &file.hash).await.unwrap();
    assert_eq!(kept.references, 1);
    assert_eq!(
        attachments::collect(store, now_ms() + 1, BATCH)
            .await
            .unwrap(),
        0
    );
}

async fn a_collected_attachment_is_not_referred_to(cluster: &mut Cluster, store: &Store) {
    let chat = chat(store, "chat").await;
    let (file, content) = put(store, "collected").await;
    let sql = format!("DELETE FROM attachments WHERE hash = '{}'", file.hash);
    let writing = store.clone();
    let insert = async move {
        let new = following(None, content);
        messages::insert(&writing, OWNER, chat.id, new).await
    };
    is_missing(
        &after(cluster, sql, Box::pin(insert)).await.unwrap_err(),
        "attachment",
    );
}

async fn runs_of_gateways_without_a_heartbeat_are_interrupted(
    cluster: &mut Cluster,
    store: &Store,
) {
    let other = gateway(store).await;
    let started = respond(store, other.id).await;
    let starting = gateway(store).await;
    let interrupted = runs::interrupt(store, starting.id).await.unwrap();
    assert!(interrupted.is_empty(), "the other one is running");
    let sql = format!(
        "UPDATE gateways SET heartbeat_at_ms = heartbeat_at_ms - 3600001 WHERE id = '{}'",
        other.id
    );
    cluster.execute(DATABASE, sql).await;
    let interrupted = runs::interrupt(store, starting.id).await.unwrap();
    let ids: Vec<Uuid> = interrupted.iter().map(|run| run.id).collect();
    assert_eq!(ids, [started.run.id]);
}

async fn a_run_that_was_interrupted_is_not_saved(cluster: &mut Cluster, store: &Store) {
    let gateway = gateway(store).await;
    let started = respond(store, gateway.id).await;
    let id = started.run.id;
    let sql =
        format!("UPDATE runs SET state = 'interrupted', finished_at_ms = 1 WHERE id = '{id}'");
    let saving = store.clone();
    let save = async move {
        let snapshot = runs::Snapshot {
            run_id: id,
            state: RunState::Running,
            seq: 1,
            body: MessageBody::from_text("text"),
        };
        runs::save(&saving, &snapshot).await
    };
    let error = after(cluster, sql, Box::pin(save)).await.unwrap_err();
    assert!(error.to_string().contains("has ended"), "{error}");
    let run = runs::get(store, OWNER, id).await.unwrap();
    assert_eq!(run.state, RunState::Interrupted);
}

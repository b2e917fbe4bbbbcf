//! Messages of a chat: a tree by `parent_id`, whose open branch ends with the chat's leaf.

mod content;
mod rows;
pub mod tree;

pub use content::{MessageBody, Part, ToolCall, Usage, join_texts};
pub(crate) use rows::{body_columns, by_ids, find, insert_all, links, of_chat, search_texts};

use crate::chats;
use crate::connect::Store;
use crate::entities::message::{Column, Entity, Model};
use crate::error::StoreError;
use crate::search;
use crate::time::now_ms;
use crate::values::{check_name, stored_enum};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use std::collections::HashSet;
use uuid::Uuid;

pub(crate) const NOUN: &str = "message";
const TABLE: &str = "messages";

const IDEMPOTENCY_KEY: &str = "idempotency_key";

/// Ids per statement: databases limit the number of values.
const IDS_PER_STATEMENT: usize = 500;

stored_enum! {
    /// Who wrote a message.
    Role {
        /// The user.
        User = "user",
        /// The model.
        Assistant = "assistant",
    }
}

stored_enum! {
    /// Whether a message is complete.
    MessageState {
        /// A run is writing it.
        Running = "running",
        /// Complete.
        Complete = "complete",
        /// The user stopped its run.
        Stopped = "stopped",
        /// Its run failed.
        Failed = "failed",
        /// Its gateway ended during the run.
        Interrupted = "interrupted",
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id. A later message has a greater one, unless the clock was set back.
    pub id: Uuid,
    /// Its chat.
    pub chat_id: Uuid,
    /// The message before it; `None` for the first of a branch.
    pub parent_id: Option<Uuid>,
    /// Who wrote it.
    pub role: Role,
    /// Its content.
    pub body: MessageBody,
    /// The profile or model that wrote it, as the request named it.
    pub model: Option<String>,
    /// The last run that wrote it.
    pub run_id: Option<Uuid>,
    /// Number of the last event of this run that the body contains; 0 before the first.
    pub seq: u64,
    /// Whether it is complete.
    pub state: MessageState,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last change.
    pub updated_at_ms: i64,
}

/// A complete message to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The message before it. A second message with the same parent is a new branch: an edit, or another response.
    pub parent_id: Option<Uuid>,
    /// Who wrote it.
    pub role: Role,
    /// Its content. Attachments must be stored already.
    pub body: MessageBody,
    /// The profile or model that wrote it.
    pub model: Option<String>,
}

impl NewMessage {
    /// The message with an id of its own.
    pub(crate) fn into_message(self, chat_id: Uuid) -> Message {
        let now = now_ms();
        Message {
            id: Uuid::now_v7(),
            chat_id,
            parent_id: self.parent_id,
            role: self.role,
            body: self.body,
            model: self.model,
            run_id: None,
            seq: 0,
            state: MessageState::Complete,
            created_at_ms: now,
            updated_at_ms: now,
        }
    }
}

/// Messages that were deleted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedMessages {
    /// The message and all after it in all branches, oldest first.
    pub ids: Vec<Uuid>,
    /// The end of the open branch now.
    pub leaf_id: Option<Uuid>,
}

/// Stores a message, and makes it the end of the open branch.
///
/// # Errors
/// [`StoreError::NotFound`] for an unknown chat, parent or attachment.
pub async fn insert(
    store: &Store,
    user_id: Uuid,
    chat_id: Uuid,
    new: NewMessage,
) -> Result<Message, StoreError> {
    insert_with_key(store, user_id, chat_id, new, None).await
}

async fn insert_with_key(
    store: &Store,
    user_id: Uuid,
    chat_id: Uuid,
    new: NewMessage,
    key: Option<&str>,
) -> Result<Message, StoreError> {
    let transaction = store.begin().await?;
    let chat = chats::owned_for_change(&transaction, user_id, chat_id).await?;
    if let Some(parent_id) = new.parent_id {
        find(&transaction, chat_id, parent_id).await?;
    }
    let message = new.into_message(chat_id);
    let stored = std::slice::from_ref(&message);
    insert_all(&transaction, user_id, chat.is_temporary, stored).await?;
    if let Some(key) = key {
        set_key(&transaction, message.id, key).await?;
    }
    chats::open_branch(&transaction, chat_id, Some(message.id)).await?;
    chats::record_activity(&transaction, chat_id).await?;
    transaction.commit().await?;
    Ok(message)
}

async fn set_key(transaction: &DatabaseTransaction, id: Uuid, key: &str) -> Result<(), StoreError> {
    let updated = Entity::update_many()
        .col_expr(Column::IdempotencyKey, Expr::value(key))
        .filter(Column::Id.eq(id))
        .exec(transaction)
        .await;
    let unique = [(IDEMPOTENCY_KEY, key.to_owned())];
    updated.map_err(|error| StoreError::from_write(error, NOUN, TABLE, &unique))?;
    Ok(())
}

/// As [`insert`], once for each key in a chat: a repeated key gets the first message again.
///
/// # Errors
/// As [`insert`], [`StoreError::Invalid`] for a bad key, and [`StoreError::NotFound`] if the first message was deleted.
pub async fn insert_once(
    store: &Store,
    user_id: Uuid,
    chat_id: Uuid,
    new: NewMessage,
    key: &str,
) -> Result<Message, StoreError> {
    check_name(IDEMPOTENCY_KEY, key)?;
    if let Some(first) = with_key(store, user_id, chat_id, key).await? {
        return Ok(first);
    }
    match insert_with_key(store, user_id, chat_id, new, Some(key)).await {
        // Another request with the key was faster.
        Err(StoreError::Conflict {
            field: IDEMPOTENCY_KEY,
            ..
        }) => with_key(store, user_id, chat_id, key)
            .await?
            .ok_or_else(|| StoreError::not_found(NOUN, key)),
        inserted => inserted,
    }
}

/// The message of a chat that was stored with a key.
async fn with_key(
    store: &Store,
    user_id: Uuid,
    chat_id: Uuid,
    key: &str,
) -> Result<Option<Message>, StoreError> {
    let reader = store.reader();
    chats::owned(reader, user_id, chat_id).await?;
    let row = Entity::find()
        .filter(Column::ChatId.eq(chat_id))
        .filter(Column::IdempotencyKey.eq(key))
        .one(reader)
        .await?;
    match row {
        Some(row) => find(reader, chat_id, row.id).await.map(Some),
        None => Ok(None),
    }
}

/// A message by its id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(
    store: &Store,
    user_id: Uuid,
    chat_id: Uuid,
    id: Uuid,
) -> Result<Message, StoreError> {
    chats::owned(store.reader(), user_id, chat_id).await?;
    find(store.reader(), chat_id, id).await
}

/// All messages of a chat, in all branches: oldest first, but each after its parent.
///
/// # Errors
/// [`StoreError::NotFound`] for an unknown chat.
pub async fn list(store: &Store, user_id: Uuid, chat_id: Uuid) -> Result<Vec<Message>, StoreError> {
    chats::owned(store.reader(), user_id, chat_id).await?;
    of_chat(store.reader(), chat_id).await
}

/// Deletes a message and all after it, until they are restored, or purged later. If the open branch ends with one of them,
/// the newest branch through the parent is opened.
///
/// # Errors
/// [`StoreError::NotFound`], and [`StoreError::Busy`] while a run writes one of them.
pub async fn delete(
    store: &Store,
    user_id: Uuid,
    chat_id: Uuid,
    id: Uuid,
) -> Result<DeletedMessages, StoreError> {
    let transaction = store.begin().await?;
    let chat = chats::owned_for_change(&transaction, user_id, chat_id).await?;
    let root = find(&transaction, chat_id, id).await?;
    let links = links(&transaction, chat_id).await?;
    let ids = tree::subtree(&links, id);
    rows::check_not_running(&transaction, &ids).await?;
    mark(&transaction, &ids, Some(now_ms())).await?;
    for id in &ids {
        search::remove_message(&transaction, *id).await?;
    }
    let deleted: HashSet<Uuid> = ids.iter().copied().collect();
    let leaf_id = match chat.leaf_id {
        Some(leaf_id) if !deleted.contains(&leaf_id) => Some(leaf_id),
        _ => {
            let left: Vec<_> = links
                .into_iter()
                .filter(|(id, _)| !deleted.contains(id))
                .collect();
            let leaf_id = tree::newest_leaf(&left, root.parent_id);
            chats::open_branch(&transaction, chat_id, leaf_id).await?;
            leaf_id
        }
    };
    transaction.commit().await?;
    Ok(DeletedMessages { ids, leaf_id })
}

/// Undoes the deletion of messages, and opens the branch of the last one. Returns them, oldest first.
///
/// # Errors
/// [`StoreError::NotFound`] for a message that was purged or is not deleted, and for a deleted parent that is not among them.
pub async fn restore(
    store: &Store,
    user_id: Uuid,
    chat_id: Uuid,
    ids: &[Uuid],
) -> Result<Vec<Message>, StoreError> {
    let transaction = store.begin().await?;
    let chat = chats::owned_for_change(&transaction, user_id, chat_id).await?;
    let deleted = rows::deleted(&transaction, chat_id, ids).await?;
    if let Some(missing) = ids
        .iter()
        .find(|id| !deleted.iter().any(|message| message.id == **id))
    {
        return Err(StoreError::not_found(NOUN, missing));
    }
    mark(&transaction, ids, None).await?;
    for message in &deleted {
        if let Some(parent_id) = message.parent_id {
            find(&transaction, chat_id, parent_id).await?;
        }
        rows::index(&transaction, chat.is_temporary, message).await?;
    }
    if let Some(last) = deleted.last() {
        let links = links(&transaction, chat_id).await?;
        let leaf_id = tree::newest_leaf(&links, Some(last.id));
        chats::open_branch(&transaction, chat_id, leaf_id).await?;
    }
    transaction.commit().await?;
    Ok(deleted)
}

async fn mark(
    transaction: &DatabaseTransaction,
    ids: &[Uuid],
    deleted_at_ms: Option<i64>,
) -> Result<(), StoreError> {
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        Entity::update_many()
            .col_expr(Column::DeletedAtMs, Expr::value(deleted_at_ms))
            .filter(Column::Id.is_in(ids.iter().copied()))
            .exec(transaction)
            .await?;
    }
    Ok(())
}

//! Copies of chats: a fork of a branch, and an import from a file.

use super::{Chat, ChatConfig, rows};
use crate::connect::Store;
use crate::error::StoreError;
use crate::messages::{self, Message, MessageState, tree};
use crate::time::now_ms;
use sea_orm::DatabaseTransaction;
use std::collections::HashMap;
use uuid::Uuid;

/// A chat from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatImport {
    /// What the user edits.
    pub config: ChatConfig,
    /// The end of the open branch, by its id in the file; the newest branch is opened without it.
    pub leaf_id: Option<Uuid>,
    /// Creation time.
    pub created_at_ms: i64,
    /// The messages in any order, with the ids of the file: new ones replace them. The ids of chats and runs are ignored.
    pub messages: Vec<Message>,
}

impl ChatImport {
    /// Whether the messages form trees: what [`import`] stores.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for messages that are repeated, in a cycle, or without their parent.
    pub fn check(&self) -> Result<(), StoreError> {
        ordered(&self.messages).map(drop)
    }
}

/// Copies the branch that ends with a message into a new chat with the same configuration.
///
/// # Errors
/// [`StoreError::NotFound`] for an unknown chat, or a message that is not in it.
pub async fn fork(
    store: &Store,
    user_id: Uuid,
    id: Uuid,
    message_id: Uuid,
) -> Result<Chat, StoreError> {
    let transaction = store.begin().await?;
    let row = rows::owned(&transaction, user_id, id).await?;
    let all = messages::of_chat(&transaction, id).await?;
    let branch = tree::branch(&all, message_id);
    if branch.is_empty() {
        return Err(StoreError::not_found(messages::NOUN, message_id));
    }
    let source = rows::read(&transaction, row).await?;
    let now = now_ms();
    let chat = Chat {
        id: Uuid::now_v7(),
        leaf_id: Some(message_id),
        created_at_ms: now,
        updated_at_ms: now,
        active_at_ms: now,
        ..source
    };
    let chat = insert(&transaction, chat, &branch).await?;
    transaction.commit().await?;
    Ok(chat)
}

/// Stores a chat from a file, with new ids.
///
/// # Errors
/// [`StoreError::Invalid`] for a bad value, and for messages that form no tree; [`StoreError::NotFound`] for a persona or an
/// attachment that is not stored.
pub async fn import(store: &Store, user_id: Uuid, file: ChatImport) -> Result<Chat, StoreError> {
    let ordered = ordered(&file.messages)?;
    let leaf_id = file
        .leaf_id
        .or_else(|| tree::newest_leaf(&file.messages, None));
    let now = now_ms();
    let chat = Chat {
        id: Uuid::now_v7(),
        user_id,
        config: rows::checked(file.config)?,
        is_temporary: false,
        leaf_id,
        message_count: 0,
        created_at_ms: file.created_at_ms,
        updated_at_ms: now,
        active_at_ms: now,
        deleted_at_ms: None,
    };
    let transaction = store.begin().await?;
    super::check_persona(&transaction, user_id, &chat.config).await?;
    let chat = insert(&transaction, chat, &ordered).await?;
    transaction.commit().await?;
    Ok(chat)
}

/// Messages of a file, each after its parent.
fn ordered(messages: &[Message]) -> Result<Vec<&Message>, StoreError> {
    tree::parents_first(messages).map_err(|id| StoreError::Invalid {
        field: "messages",
        reason: format!("{id} is repeated, in a cycle, or the messages before it are missing"),
    })
}

/// Inserts a chat with copies of messages, of which each comes after its parent.
async fn insert(
    transaction: &DatabaseTransaction,
    chat: Chat,
    messages: &[&Message],
) -> Result<Chat, StoreError> {
    let mut ids = HashMap::new();
    let copies: Vec<Message> = messages
        .iter()
        .map(|message| {
            let id = Uuid::now_v7();
            ids.insert(message.id, id);
            Message {
                id,
                chat_id: chat.id,
                parent_id: message
                    .parent_id
                    .and_then(|parent_id| ids.get(&parent_id).copied()),
                state: match message.state {
                    MessageState::Running => MessageState::Interrupted,
                    state => state,
                },
                run_id: None,
                seq: 0,
                ..(*message).clone()
            }
        })
        .collect();
    let leaf_id = match chat.leaf_id {
        Some(leaf_id) => Some(
            ids.get(&leaf_id)
                .copied()
                .ok_or_else(|| StoreError::Invalid {
                    field: "leaf_id",
                    reason: format!("{leaf_id} is not one of the messages"),
                })?,
        ),
        None => None,
    };
    let chat = Chat {
        leaf_id,
        message_count: copies.len() as u64,
        ..chat
    };
    rows::insert(transaction, &chat).await?;
    messages::insert_all(transaction, chat.user_id, chat.is_temporary, &copies).await?;
    Ok(chat)
}

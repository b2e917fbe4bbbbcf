//! Chats: conversations of a user, with tags, search, and deletion that can be undone until they are purged.
//!
//! Every function takes the user whose rows it may see: a chat of another user does not exist for it.

mod copy;
mod list;
mod retention;
mod rows;

pub use crate::search::FoundPart;
pub use copy::{ChatImport, fork, import};
pub use list::{ChatFilter, ChatPosition, Found, ListedChat, TagCount, list, tags};
pub use retention::{erase, purge};
pub(crate) use rows::{open_branch, owned, owned_for_change, record_activity};

use crate::connect::Store;
use crate::entities::chat::{Column, Entity, Model};
use crate::error::{StoreError, require_row};
use crate::messages::{self, tree};
use crate::personas;
use crate::profiles::RequestSettings;
use crate::time::now_ms;
use crate::values::stored_enum;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel,
    QueryFilter,
};
use uuid::Uuid;

const NOUN: &str = "chat";
const TABLE: &str = "chats";

stored_enum! {
    /// The API that runs of a chat use.
    #[derive(Default)]
    ChatProtocol {
        /// `/v1/chat/completions`.
        #[default]
        OpenAi = "openai",
        /// `/v1/messages`.
        Anthropic = "anthropic",
    }
}

/// A chat.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// What the user edits.
    pub config: ChatConfig,
    /// Whether it is in no list and no search. Fixed when it is created.
    pub is_temporary: bool,
    /// The message at the end of the open branch; `None` without messages. Other devices open the same branch.
    pub leaf_id: Option<Uuid>,
    /// Number of messages in all branches.
    pub message_count: u64,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last message, run or change.
    pub updated_at_ms: i64,
    /// Time of the last message or run: lists are in this order, so a new title does not move a chat.
    pub active_at_ms: i64,
    /// Time of its deletion, if it can still be restored.
    pub deleted_at_ms: Option<i64>,
}

/// What a user edits of a chat.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatConfig {
    /// Title; empty until there is one.
    pub title: String,
    /// Whether the title was not chosen by the user, so that one made from the first message may replace it.
    pub is_title_automatic: bool,
    /// Name of the profile or model that responds; `None` until one is chosen.
    pub model: Option<String>,
    /// The API that runs use.
    pub protocol: ChatProtocol,
    /// The persona.
    pub persona_id: Option<Uuid>,
    /// The system prompt; `None` for that of the persona, or else of the profile.
    pub system_prompt: Option<String>,
    /// Settings of requests.
    pub settings: RequestSettings,
    /// Whether it comes first in lists.
    pub is_pinned: bool,
    /// Labels. Stored sorted, each once.
    pub tags: Vec<String>,
}

/// Creates an empty chat.
///
/// # Errors
/// [`StoreError::Invalid`] for a bad value, [`StoreError::NotFound`] for an unknown persona.
pub async fn create(store: &Store, user_id: Uuid, config: ChatConfig) -> Result<Chat, StoreError> {
    create_with(store, user_id, config, false).await
}

/// Creates an empty chat that is in no list and no search. It belongs into a store in memory ([`Store::in_memory`]).
///
/// # Errors
/// Those of [`create`].
pub async fn create_temporary(
    store: &Store,
    user_id: Uuid,
    config: ChatConfig,
) -> Result<Chat, StoreError> {
    create_with(store, user_id, config, true).await
}

async fn create_with(
    store: &Store,
    user_id: Uuid,
    config: ChatConfig,
    is_temporary: bool,
) -> Result<Chat, StoreError> {
    let now = now_ms();
    let chat = Chat {
        id: Uuid::now_v7(),
        user_id,
        config: rows::checked(config)?,
        is_temporary,
        leaf_id: None,
        message_count: 0,
        created_at_ms: now,
        updated_at_ms: now,
        active_at_ms: now,
        deleted_at_ms: None,
    };
    let transaction = store.begin().await?;
    check_persona(&transaction, user_id, &chat.config).await?;
    rows::insert(&transaction, &chat).await?;
    transaction.commit().await?;
    Ok(chat)
}

/// A chat by its id. A deleted one is not found.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(store: &Store, user_id: Uuid, id: Uuid) -> Result<Chat, StoreError> {
    let row = owned(store.reader(), user_id, id).await?;
    rows::read(store.reader(), row).await
}

/// Replaces what a user edits.
///
/// # Errors
/// [`StoreError::NotFound`], and those of [`create`].
pub async fn update(
    store: &Store,
    user_id: Uuid,
    id: Uuid,
    config: ChatConfig,
) -> Result<Chat, StoreError> {
    let config = rows::checked(config)?;
    let transaction = store.begin().await?;
    let existing = owned_for_change(&transaction, user_id, id).await?;
    check_persona(&transaction, user_id, &config).await?;
    let previous_title = existing.title.clone();
    let chat = Chat {
        config,
        updated_at_ms: now_ms(),
        ..rows::read(&transaction, existing).await?
    };
    let mut row = rows::to_row(&chat)?.into_active_model().reset_all();
    // These have functions of their own.
    row.leaf_id = ActiveValue::NotSet;
    row.active_at_ms = ActiveValue::NotSet;
    row.deleted_at_ms = ActiveValue::NotSet;
    Entity::update(row)
        .exec_without_returning(&transaction)
        .await?;
    rows::replace_tags(&transaction, id, &chat.config.tags).await?;
    if chat.config.title != previous_title {
        rows::index_title(&transaction, &chat).await?;
    }
    transaction.commit().await?;
    Ok(chat)
}

async fn check_persona(
    transaction: &DatabaseTransaction,
    user_id: Uuid,
    config: &ChatConfig,
) -> Result<(), StoreError> {
    if let Some(id) = config.persona_id {
        personas::owned(transaction, user_id, id).await?;
    }
    Ok(())
}

/// Opens the newest branch through a message.
///
/// # Errors
/// [`StoreError::NotFound`] for an unknown chat, or a message that is not in it.
pub async fn set_leaf(
    store: &Store,
    user_id: Uuid,
    id: Uuid,
    message_id: Uuid,
) -> Result<Chat, StoreError> {
    let transaction = store.begin().await?;
    let row = owned_for_change(&transaction, user_id, id).await?;
    let links = messages::links(&transaction, id).await?;
    let Some(leaf_id) = tree::newest_leaf(&links, Some(message_id)) else {
        return Err(StoreError::not_found(messages::NOUN, message_id));
    };
    open_branch(&transaction, id, Some(leaf_id)).await?;
    let chat = Chat {
        leaf_id: Some(leaf_id),
        ..rows::read(&transaction, row).await?
    };
    transaction.commit().await?;
    Ok(chat)
}

/// Deletes a chat until it is restored, or purged later. A run that writes one of its messages can still store its result.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn delete(store: &Store, user_id: Uuid, id: Uuid) -> Result<(), StoreError> {
    mark(
        store,
        user_id,
        id,
        Column::DeletedAtMs.is_null(),
        Some(now_ms()),
    )
    .await
}

/// Undoes a deletion.
///
/// # Errors
/// [`StoreError::NotFound`] if it was purged, or is not deleted.
pub async fn restore(store: &Store, user_id: Uuid, id: Uuid) -> Result<Chat, StoreError> {
    mark(store, user_id, id, Column::DeletedAtMs.is_not_null(), None).await?;
    get(store, user_id, id).await
}

async fn mark(
    store: &Store,
    user_id: Uuid,
    id: Uuid,
    before: Expr,
    deleted_at_ms: Option<i64>,
) -> Result<(), StoreError> {
    let transaction = store.begin().await?;
    let marked = Entity::update_many()
        .col_expr(Column::DeletedAtMs, Expr::value(deleted_at_ms))
        .col_expr(Column::UpdatedAtMs, Expr::value(now_ms()))
        .filter(Column::Id.eq(id))
        .filter(Column::UserId.eq(user_id))
        .filter(before)
        .exec(&transaction)
        .await?;
    require_row(marked.rows_affected, NOUN, id)?;
    transaction.commit().await?;
    Ok(())
}

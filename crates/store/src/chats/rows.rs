//! Chats as rows of their tables.

use super::{Chat, ChatConfig, ChatProtocol, Column, Entity, Model, NOUN, TABLE};
use crate::entities::{chat_tag, message};
use crate::error::StoreError;
use crate::search;
use crate::time::now_ms;
use crate::values::{self, check_name, check_text, to_json};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, Select,
};
use std::collections::HashMap;
use uuid::Uuid;

/// A configuration that can be stored, with its tags sorted.
pub(super) fn checked(mut config: ChatConfig) -> Result<ChatConfig, StoreError> {
    if !config.title.is_empty() {
        check_name("title", &config.title)?;
    }
    if let Some(model) = &config.model {
        check_name("model", model)?;
    }
    check_text(
        "system_prompt",
        config.system_prompt.as_deref().unwrap_or_default(),
    )?;
    for tag in &config.tags {
        check_name("tags", tag)?;
    }
    config.tags.sort_unstable();
    config.tags.dedup();
    Ok(config)
}

/// Inserts a chat with its tags and its title in the search.
pub(super) async fn insert(
    transaction: &DatabaseTransaction,
    chat: &Chat,
) -> Result<(), StoreError> {
    Entity::insert(to_row(chat)?.into_active_model())
        .exec_without_returning(transaction)
        .await?;
    insert_tags(transaction, chat.id, &chat.config.tags).await?;
    index_title(transaction, chat).await
}

pub(super) async fn replace_tags(
    transaction: &DatabaseTransaction,
    chat_id: Uuid,
    tags: &[String],
) -> Result<(), StoreError> {
    chat_tag::Entity::delete_many()
        .filter(chat_tag::Column::ChatId.eq(chat_id))
        .exec(transaction)
        .await?;
    insert_tags(transaction, chat_id, tags).await
}

async fn insert_tags(
    transaction: &DatabaseTransaction,
    chat_id: Uuid,
    tags: &[String],
) -> Result<(), StoreError> {
    let rows = tags.iter().map(|tag| {
        let row = chat_tag::Model {
            chat_id,
            tag: tag.clone(),
        };
        row.into_active_model()
    });
    chat_tag::Entity::insert_many::<chat_tag::ActiveModel, _>(rows)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// Replaces the title in the search.
pub(super) async fn index_title(
    transaction: &DatabaseTransaction,
    chat: &Chat,
) -> Result<(), StoreError> {
    if chat.is_temporary {
        return Ok(());
    }
    search::index_title(transaction, chat.id, &chat.config.title).await
}

/// The row of a chat that a user may see and that is not deleted.
pub(crate) async fn owned<C: ConnectionTrait>(
    connection: &C,
    user_id: Uuid,
    id: Uuid,
) -> Result<Model, StoreError> {
    select_owned(user_id, id)
        .one(connection)
        .await?
        .ok_or_else(|| StoreError::not_found(NOUN, id))
}

/// As [`owned`], for a transaction that changes the chat or its messages: what it reads stays true until its end, since the next
/// one waits. On SQLite, all that write wait for each other.
pub(crate) async fn owned_for_change(
    transaction: &DatabaseTransaction,
    user_id: Uuid,
    id: Uuid,
) -> Result<Model, StoreError> {
    select_owned(user_id, id)
        // `FOR UPDATE` would wait for every row that is inserted with a reference to the chat, too.
        .lock(LockType::NoKeyUpdate)
        .one(transaction)
        .await?
        .ok_or_else(|| StoreError::not_found(NOUN, id))
}

fn select_owned(user_id: Uuid, id: Uuid) -> Select<Entity> {
    Entity::find_by_id(id)
        .filter(Column::UserId.eq(user_id))
        .filter(Column::DeletedAtMs.is_null())
}

/// Makes a message the end of the open branch.
pub(crate) async fn open_branch(
    transaction: &DatabaseTransaction,
    id: Uuid,
    leaf_id: Option<Uuid>,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::LeafId, Expr::value(leaf_id))
        .filter(Column::Id.eq(id))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Moves a chat to the top of the list.
pub(crate) async fn record_activity(
    transaction: &DatabaseTransaction,
    id: Uuid,
) -> Result<(), StoreError> {
    let now = now_ms();
    Entity::update_many()
        .col_expr(Column::ActiveAtMs, Expr::value(now))
        .col_expr(Column::UpdatedAtMs, Expr::value(now))
        .filter(Column::Id.eq(id))
        .exec(transaction)
        .await?;
    Ok(())
}

pub(super) fn to_row(chat: &Chat) -> Result<Model, StoreError> {
    let config = &chat.config;
    Ok(Model {
        id: chat.id,
        user_id: chat.user_id,
        title: config.title.clone(),
        is_title_automatic: config.is_title_automatic,
        model: config.model.clone(),
        protocol: config.protocol.as_str().to_owned(),
        persona_id: config.persona_id,
        system_prompt: config.system_prompt.clone(),
        settings: to_json("settings", &config.settings)?,
        is_pinned: config.is_pinned,
        is_temporary: chat.is_temporary,
        leaf_id: chat.leaf_id,
        created_at_ms: chat.created_at_ms,
        updated_at_ms: chat.updated_at_ms,
        active_at_ms: chat.active_at_ms,
        deleted_at_ms: chat.deleted_at_ms,
    })
}

/// The chat of a row.
pub(super) async fn read<C: ConnectionTrait>(
    connection: &C,
    row: Model,
) -> Result<Chat, StoreError> {
    let tags = tags_of(connection, &[row.id]).await?.remove(&row.id);
    let count = message_counts(connection, &[row.id]).await?.remove(&row.id);
    from_row(row, tags.unwrap_or_default(), count.unwrap_or(0))
}

/// The chats of rows, in their order.
pub(super) async fn read_all<C: ConnectionTrait>(
    connection: &C,
    rows: Vec<Model>,
) -> Result<Vec<Chat>, StoreError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut tags = tags_of(connection, &ids).await?;
    let counts = message_counts(connection, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let tags = tags.remove(&row.id).unwrap_or_default();
            let count = counts.get(&row.id).copied().unwrap_or(0);
            from_row(row, tags, count)
        })
        .collect()
}

async fn tags_of<C: ConnectionTrait>(
    connection: &C,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<String>>, StoreError> {
    let rows = chat_tag::Entity::find()
        .filter(chat_tag::Column::ChatId.is_in(ids.iter().copied()))
        .all(connection)
        .await?;
    let mut tags: HashMap<Uuid, Vec<String>> = HashMap::new();
    for row in rows {
        tags.entry(row.chat_id).or_default().push(row.tag);
    }
    // Databases sort text in the order of their locale.
    for tags in tags.values_mut() {
        tags.sort_unstable();
    }
    Ok(tags)
}

async fn message_counts<C: ConnectionTrait>(
    connection: &C,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, i64>, StoreError> {
    let counts = message::Entity::find()
        .select_only()
        .column(message::Column::ChatId)
        .expr_as(message::Column::Id.count(), "messages")
        .filter(message::Column::ChatId.is_in(ids.iter().copied()))
        .filter(message::Column::DeletedAtMs.is_null())
        .group_by(message::Column::ChatId)
        .into_tuple::<(Uuid, i64)>()
        .all(connection)
        .await?;
    Ok(counts.into_iter().collect())
}

fn from_row(row: Model, tags: Vec<String>, message_count: i64) -> Result<Chat, StoreError> {
    let id = row.id;
    let column = |column| values::StoredValue {
        table: TABLE,
        column,
        row: &id,
    };
    let config = ChatConfig {
        title: row.title,
        is_title_automatic: row.is_title_automatic,
        model: row.model,
        protocol: column("protocol")
            .variant(ChatProtocol::from_stored(&row.protocol), &row.protocol)?,
        persona_id: row.persona_id,
        system_prompt: row.system_prompt,
        settings: column("settings").json(&row.settings)?,
        is_pinned: row.is_pinned,
        tags,
    };
    Ok(Chat {
        id,
        user_id: row.user_id,
        config,
        is_temporary: row.is_temporary,
        leaf_id: row.leaf_id,
        message_count: column("id").unsigned(message_count)?,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
        active_at_ms: row.active_at_ms,
        deleted_at_ms: row.deleted_at_ms,
    })
}

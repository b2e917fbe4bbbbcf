//! Deletion of chats and messages for good.

use super::NOUN;
use crate::batches;
use crate::connect::Store;
use crate::entities::{chat, message};
use crate::error::{StoreError, require_row};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use std::num::NonZeroU64;
use uuid::Uuid;

/// Deletes one chat for good with everything in it, whether it is deleted already or not. Attachments stay until they are
/// collected.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn erase(store: &Store, user_id: Uuid, id: Uuid) -> Result<(), StoreError> {
    let transaction = store.begin().await?;
    let erased = chat::Entity::delete_many()
        .filter(chat::Column::Id.eq(id))
        .filter(chat::Column::UserId.eq(user_id))
        .exec(&transaction)
        .await?;
    require_row(erased.rows_affected, NOUN, id)?;
    transaction.commit().await?;
    Ok(())
}

/// Deletes chats and messages that users deleted before a time, in transactions of at most `batch` chats or messages;
/// returns their number. An error leaves complete batches deleted. Attachments stay until they are collected
/// ([`attachments::collect`](crate::attachments::collect)).
pub async fn purge(
    store: &Store,
    deleted_before_ms: i64,
    batch: NonZeroU64,
) -> Result<u64, StoreError> {
    let chosen = Query::select()
        .column(chat::Column::Id)
        .from(chat::Entity)
        .and_where(chat::Column::DeletedAtMs.lt(deleted_before_ms))
        .limit(batch.get())
        .to_owned();
    let delete = Query::delete()
        .from_table(chat::Entity)
        .and_where(chat::Column::Id.in_subquery(chosen))
        .to_owned();
    let chats = batches::delete(store, &delete, batch).await?;
    let chosen = Query::select()
        .column(message::Column::Id)
        .from(message::Entity)
        .and_where(message::Column::DeletedAtMs.lt(deleted_before_ms))
        .limit(batch.get())
        .to_owned();
    let delete = Query::delete()
        .from_table(message::Entity)
        .and_where(message::Column::Id.in_subquery(chosen))
        .to_owned();
    Ok(chats + batches::delete(store, &delete, batch).await?)
}

//! Messages as rows.

use super::{
    Column, Entity, IDS_PER_STATEMENT, Message, MessageBody, MessageState, Model, NOUN, Role,
    TABLE, tree,
};
use crate::attachments;
use crate::entities::message::ActiveModel;
use crate::error::StoreError;
use crate::search;
use crate::values::{self, check_name, label, signed, to_json};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Set,
};
use serde::Serialize;
use std::collections::HashMap;
use uuid::Uuid;

/// Inserts messages, of which each comes after its parent, with their attachments and their text in the search.
pub(crate) async fn insert_all(
    transaction: &DatabaseTransaction,
    user_id: Uuid,
    is_temporary: bool,
    messages: &[Message],
) -> Result<(), StoreError> {
    for message in messages {
        Entity::insert(to_row(message)?.into_active_model())
            .exec_without_returning(transaction)
            .await?;
        attachments::refer(transaction, user_id, message.id, &message.body).await?;
        index(transaction, is_temporary, message).await?;
    }
    Ok(())
}

/// Adds a message that is not being written to the index of the search.
pub(crate) async fn index(
    transaction: &DatabaseTransaction,
    is_temporary: bool,
    message: &Message,
) -> Result<(), StoreError> {
    if is_temporary || message.state == MessageState::Running {
        return Ok(());
    }
    let text = message.body.search_text();
    search::index_message(transaction, message.chat_id, message.id, &text).await
}

/// A message of a chat that is not deleted.
pub(crate) async fn find<C: ConnectionTrait>(
    connection: &C,
    chat_id: Uuid,
    id: Uuid,
) -> Result<Message, StoreError> {
    let row = Entity::find_by_id(id)
        .filter(Column::ChatId.eq(chat_id))
        .filter(Column::DeletedAtMs.is_null())
        .one(connection)
        .await?;
    match row {
        Some(row) => from_row(row),
        None => Err(StoreError::not_found(NOUN, id)),
    }
}

/// The messages of a chat that are not deleted: oldest first, but each after its parent, whose id is greater if the clock was set
/// back.
pub(crate) async fn of_chat<C: ConnectionTrait>(
    connection: &C,
    chat_id: Uuid,
) -> Result<Vec<Message>, StoreError> {
    let rows = Entity::find()
        .filter(Column::ChatId.eq(chat_id))
        .filter(Column::DeletedAtMs.is_null())
        .order_by_asc(Column::Id)
        .all(connection)
        .await?;
    let mut messages = rows
        .into_iter()
        .map(from_row)
        .collect::<Result<Vec<_>, _>>()?;
    let positions: Option<HashMap<Uuid, usize>> =
        tree::parents_first(&messages).ok().map(|ordered| {
            let ids = ordered.into_iter().map(|message| message.id);
            ids.zip(0..).collect()
        });
    // Without its parent, a message is shown all the same.
    if let Some(positions) = positions {
        messages.sort_unstable_by_key(|message| positions.get(&message.id).copied());
    }
    Ok(messages)
}

/// What a search finds of a message.
pub(crate) struct SearchText {
    pub message_id: Uuid,
    pub chat_id: Uuid,
    pub text: String,
}

/// The texts of those of the ids, at most a page of them, that are messages that are not deleted.
pub(crate) async fn search_texts<C: ConnectionTrait>(
    connection: &C,
    ids: &[Uuid],
) -> Result<Vec<SearchText>, StoreError> {
    let rows = Entity::find()
        .select_only()
        .column(Column::Id)
        .column(Column::ChatId)
        .column(Column::Content)
        .filter(Column::Id.is_in(ids.iter().copied()))
        .filter(Column::DeletedAtMs.is_null())
        .into_tuple::<(Uuid, Uuid, String)>()
        .all(connection)
        .await?;
    rows.into_iter()
        .map(|(message_id, chat_id, content)| {
            let column = values::StoredValue {
                table: TABLE,
                column: "content",
                row: &message_id,
            };
            let body = MessageBody {
                content: column.json(&content)?,
                ..MessageBody::default()
            };
            Ok(SearchText {
                message_id,
                chat_id,
                text: body.search_text(),
            })
        })
        .collect()
}

/// Those of the ids, at most a page of them, that are messages that are not deleted.
pub(crate) async fn by_ids<C: ConnectionTrait>(
    connection: &C,
    ids: &[Uuid],
) -> Result<Vec<Message>, StoreError> {
    let rows = Entity::find()
        .filter(Column::Id.is_in(ids.iter().copied()))
        .filter(Column::DeletedAtMs.is_null())
        .all(connection)
        .await?;
    rows.into_iter().map(from_row).collect()
}

/// The ids of the messages of a chat with those of their parents.
pub(crate) async fn links<C: ConnectionTrait>(
    connection: &C,
    chat_id: Uuid,
) -> Result<Vec<(Uuid, Option<Uuid>)>, StoreError> {
    let links = Entity::find()
        .select_only()
        .column(Column::Id)
        .column(Column::ParentId)
        .filter(Column::ChatId.eq(chat_id))
        .filter(Column::DeletedAtMs.is_null())
        .order_by_asc(Column::Id)
        .into_tuple::<(Uuid, Option<Uuid>)>()
        .all(connection)
        .await?;
    Ok(links)
}

/// Those of the ids that are deleted messages of a chat, oldest first.
pub(super) async fn deleted<C: ConnectionTrait>(
    connection: &C,
    chat_id: Uuid,
    ids: &[Uuid],
) -> Result<Vec<Message>, StoreError> {
    let mut messages = Vec::new();
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let rows = Entity::find()
            .filter(Column::ChatId.eq(chat_id))
            .filter(Column::DeletedAtMs.is_not_null())
            .filter(Column::Id.is_in(ids.iter().copied()))
            .all(connection)
            .await?;
        for row in rows {
            messages.push(from_row(row)?);
        }
    }
    messages.sort_unstable_by_key(|message| message.id);
    messages.dedup_by_key(|message| message.id);
    Ok(messages)
}

/// An error if a run is writing one of the messages.
pub(super) async fn check_not_running<C: ConnectionTrait>(
    connection: &C,
    ids: &[Uuid],
) -> Result<(), StoreError> {
    for ids in ids.chunks(IDS_PER_STATEMENT) {
        let running = Entity::find()
            .filter(Column::Id.is_in(ids.iter().copied()))
            .filter(Column::State.eq(MessageState::Running.as_str()))
            .one(connection)
            .await?;
        if let Some(row) = running {
            return Err(StoreError::Busy {
                noun: NOUN,
                id: row.id,
            });
        }
    }
    Ok(())
}

/// The columns of a body, for an update of these.
pub(crate) fn body_columns(body: &MessageBody) -> Result<ActiveModel, StoreError> {
    Ok(ActiveModel {
        content: Set(to_json("content", &body.content)?),
        reasoning: Set(optional_json("reasoning", body.reasoning.as_ref())?),
        tool_calls: Set(tool_calls(body)?),
        finish_reason: Set(body.finish_reason.as_deref().map(label)),
        problem: Set(optional_json("problem", body.problem.as_ref())?),
        usage: Set(optional_json("usage", body.usage.as_ref())?),
        receipt: Set(optional_json("receipt", body.receipt.as_ref())?),
        ..Default::default()
    })
}

fn to_row(message: &Message) -> Result<Model, StoreError> {
    let body = &message.body;
    if let Some(model) = &message.model {
        check_name("model", model)?;
    }
    Ok(Model {
        id: message.id,
        chat_id: message.chat_id,
        parent_id: message.parent_id,
        role: message.role.as_str().to_owned(),
        content: to_json("content", &body.content)?,
        reasoning: optional_json("reasoning", body.reasoning.as_ref())?,
        tool_calls: tool_calls(body)?,
        finish_reason: body.finish_reason.as_deref().map(label),
        problem: optional_json("problem", body.problem.as_ref())?,
        usage: optional_json("usage", body.usage.as_ref())?,
        receipt: optional_json("receipt", body.receipt.as_ref())?,
        model: message.model.clone(),
        run_id: message.run_id,
        seq: signed("seq", message.seq)?,
        state: message.state.as_str().to_owned(),
        created_at_ms: message.created_at_ms,
        updated_at_ms: message.updated_at_ms,
        deleted_at_ms: None,
        idempotency_key: None,
    })
}

fn tool_calls(body: &MessageBody) -> Result<Option<String>, StoreError> {
    let calls = (!body.tool_calls.is_empty()).then_some(&body.tool_calls);
    optional_json("tool_calls", calls)
}

fn optional_json<T: Serialize>(
    field: &'static str,
    value: Option<&T>,
) -> Result<Option<String>, StoreError> {
    value.map(|value| to_json(field, value)).transpose()
}

fn from_row(row: Model) -> Result<Message, StoreError> {
    let id = row.id;
    let column = |column| values::StoredValue {
        table: TABLE,
        column,
        row: &id,
    };
    let body = MessageBody {
        content: column("content").json(&row.content)?,
        reasoning: column("reasoning").optional_json(row.reasoning.as_deref())?,
        tool_calls: column("tool_calls")
            .optional_json(row.tool_calls.as_deref())?
            .unwrap_or_default(),
        finish_reason: row.finish_reason,
        problem: column("problem").optional_json(row.problem.as_deref())?,
        usage: column("usage").optional_json(row.usage.as_deref())?,
        receipt: column("receipt").optional_json(row.receipt.as_deref())?,
    };
    Ok(Message {
        id,
        chat_id: row.chat_id,
        parent_id: row.parent_id,
        role: column("role").variant(Role::from_stored(&row.role), &row.role)?,
        body,
        model: row.model,
        run_id: row.run_id,
        seq: column("seq").unsigned(row.seq)?,
        state: column("state").variant(MessageState::from_stored(&row.state), &row.state)?,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
    })
}

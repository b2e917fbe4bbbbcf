//! Search in the titles and messages of chats: FTS5 on SQLite, `tsvector` on Postgres. Both contain the same terms, which
//! this module makes from a text, and find the same chats.

mod excerpt;
mod words;

pub use excerpt::FoundPart;
pub(crate) use words::Words;

use crate::entities::search_document::{Column, Entity};
use crate::error::StoreError;
use crate::messages;
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryFilter,
    QuerySelect, Statement, Value,
};
use std::collections::HashMap;
use uuid::Uuid;

/// The found messages of chats, each with an excerpt, by chat.
pub(crate) type FoundInChats = HashMap<Uuid, (Uuid, Vec<FoundPart>)>;

/// The ids of chats that have all words in the title, or in one message.
pub(crate) fn chats_with(words: &Words, backend: DbBackend) -> SelectStatement {
    Query::select()
        .column(Column::ChatId)
        .from(Entity)
        .and_where(contains(words, backend))
        .to_owned()
}

/// The newest message with all words of each chat that has one.
pub(crate) async fn in_messages<C: ConnectionTrait>(
    connection: &C,
    chats: &[Uuid],
    words: &Words,
) -> Result<FoundInChats, StoreError> {
    let newest = Entity::find()
        .select_only()
        .column(Column::ChatId)
        .expr_as(Column::Number.max(), "newest")
        .filter(Column::ChatId.is_in(chats.iter().copied()))
        .filter(Column::MessageId.is_not_null())
        .filter(contains(words, connection.get_database_backend()))
        .group_by(Column::ChatId)
        .into_tuple::<(Uuid, i64)>()
        .all(connection)
        .await?;
    let documents = Entity::find()
        .filter(Column::Number.is_in(newest.into_iter().map(|(_, number)| number)))
        .all(connection)
        .await?;
    let ids: Vec<Uuid> = documents
        .into_iter()
        .filter_map(|document| document.message_id)
        .collect();
    let texts = messages::search_texts(connection, &ids).await?;
    Ok(texts
        .into_iter()
        .map(|found| {
            let parts = excerpt::excerpt(&found.text, words);
            (found.chat_id, (found.message_id, parts))
        })
        .collect())
}

fn contains(words: &Words, backend: DbBackend) -> Expr {
    match backend {
        DbBackend::Postgres => Expr::cust_with_values(
            "search_documents.terms @@ CAST($1 AS tsquery)",
            [words.to_tsquery()],
        ),
        _ => Expr::cust_with_values(
            "search_documents.number IN (SELECT rowid FROM chat_search WHERE chat_search MATCH ?)",
            [words.to_fts5()],
        ),
    }
}

/// Replaces the title of a chat.
pub(crate) async fn index_title(
    transaction: &DatabaseTransaction,
    chat_id: Uuid,
    title: &str,
) -> Result<(), StoreError> {
    Entity::delete_many()
        .filter(Column::ChatId.eq(chat_id))
        .filter(Column::MessageId.is_null())
        .exec(transaction)
        .await?;
    insert(transaction, chat_id, None, title).await
}

/// Replaces the text of a message.
pub(crate) async fn index_message(
    transaction: &DatabaseTransaction,
    chat_id: Uuid,
    message_id: Uuid,
    text: &str,
) -> Result<(), StoreError> {
    remove_message(transaction, message_id).await?;
    insert(transaction, chat_id, Some(message_id), text).await
}

/// Removes the text of a message.
pub(crate) async fn remove_message(
    transaction: &DatabaseTransaction,
    message_id: Uuid,
) -> Result<(), StoreError> {
    Entity::delete_many()
        .filter(Column::MessageId.eq(message_id))
        .exec(transaction)
        .await?;
    Ok(())
}

async fn insert(
    transaction: &DatabaseTransaction,
    chat_id: Uuid,
    message_id: Option<Uuid>,
    text: &str,
) -> Result<(), StoreError> {
    let terms = words::terms(text);
    if terms.is_empty() {
        return Ok(());
    }
    let mut values: Vec<Value> = vec![chat_id.into(), message_id.into()];
    if transaction.get_database_backend() == DbBackend::Postgres {
        values.push(terms.into());
        let sql = "INSERT INTO search_documents (chat_id, message_id, terms) \
            VALUES ($1, $2, array_to_tsvector(string_to_array($3, ' ')))";
        return execute(transaction, sql, values).await;
    }
    let sql = "INSERT INTO search_documents (chat_id, message_id) VALUES (?, ?)";
    execute(transaction, sql, values).await?;
    let sql = "INSERT INTO chat_search (rowid, terms) VALUES (last_insert_rowid(), ?)";
    execute(transaction, sql, vec![terms.into()]).await
}

async fn execute(
    transaction: &DatabaseTransaction,
    sql: &str,
    values: Vec<Value>,
) -> Result<(), StoreError> {
    let backend = transaction.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    transaction.execute_raw(statement).await?;
    Ok(())
}

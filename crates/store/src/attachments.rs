//! Attachments: files that messages refer to by the SHA-256 of their content. The bytes are in the database, so that
//! backups contain them and gateways that share a database have them.

use crate::connect::Store;
use crate::entities::attachment::{Column, Entity, Model};
use crate::entities::{attachment_content, message_attachment};
use crate::error::StoreError;
use crate::messages::MessageBody;
use crate::time::now_ms;
use crate::values::{self, check_name, signed};
use data_encoding::HEXLOWER;
use sea_orm::sea_query::{Expr, Func, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU64;
use uuid::Uuid;

const NOUN: &str = "attachment";
const TABLE: &str = "attachments";

/// Length of a hash.
const HASH_CHARS: usize = 64;

/// A stored file, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// SHA-256 of its content, in lower-case hexadecimal.
    pub hash: String,
    /// Name of the file, from its first upload.
    pub name: String,
    /// Its type, such as "text/plain", from its first upload.
    pub media_type: String,
    /// Its size.
    pub size_bytes: u64,
    /// Messages that refer to it, deleted ones that can be restored included.
    pub references: u64,
    /// Time of its first upload.
    pub created_at_ms: i64,
    /// Time of its last upload.
    pub uploaded_at_ms: i64,
}

/// The hash of a content, in lower-case hexadecimal.
pub fn hash(content: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(content))
}

/// Stores a file. The same content is stored once for each user.
///
/// # Errors
/// [`StoreError::Invalid`] for a bad name or type.
pub async fn put(
    store: &Store,
    user_id: Uuid,
    name: &str,
    media_type: &str,
    content: Vec<u8>,
) -> Result<Attachment, StoreError> {
    check_name("name", name)?;
    check_name("media_type", media_type)?;
    let (hash, content) = hashed(content).await?;
    let now = now_ms();
    let row = Model {
        user_id,
        hash: hash.clone(),
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        size_bytes: signed("size_bytes", content.len() as u64)?,
        created_at_ms: now,
        uploaded_at_ms: now,
    };
    let mut upload_again = OnConflict::columns([Column::UserId, Column::Hash]);
    upload_again.update_column(Column::UploadedAtMs);
    let transaction = store.begin().await?;
    Entity::insert(row.into_active_model())
        .on_conflict(upload_again)
        .exec_without_returning(&transaction)
        .await?;
    let key = (user_id, hash.clone());
    let stored = attachment_content::Entity::find_by_id(key)
        .select_only()
        .column(attachment_content::Column::Hash)
        .into_tuple::<String>()
        .one(&transaction)
        .await?;
    if stored.is_none() {
        let row = attachment_content::Model {
            user_id,
            hash: hash.clone(),
            content,
        };
        attachment_content::Entity::insert(row.into_active_model())
            .exec_without_returning(&transaction)
            .await?;
    }
    let attachment = find(&transaction, user_id, &hash).await?;
    transaction.commit().await?;
    Ok(attachment)
}

/// A file without its bytes.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(store: &Store, user_id: Uuid, hash: &str) -> Result<Attachment, StoreError> {
    find(store.reader(), user_id, hash).await
}

async fn find<C: ConnectionTrait>(
    connection: &C,
    user_id: Uuid,
    hash: &str,
) -> Result<Attachment, StoreError> {
    check_hash(hash)?;
    let row = Entity::find_by_id((user_id, hash.to_owned()))
        .one(connection)
        .await?
        .ok_or_else(|| StoreError::not_found(NOUN, hash))?;
    let references = message_attachment::Entity::find()
        .filter(message_attachment::Column::UserId.eq(user_id))
        .filter(message_attachment::Column::Hash.eq(hash))
        .count(connection)
        .await?;
    from_row(row, references)
}

/// Nothing else has a hash, and Postgres would report an error of its own for NUL.
fn check_hash(hash: &str) -> Result<(), StoreError> {
    let is_hash = hash.len() == HASH_CHARS
        && hash
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hash {
        return Ok(());
    }
    Err(StoreError::not_found(NOUN, hash))
}

/// The bytes of a file.
///
/// # Errors
/// [`StoreError::NotFound`], and [`StoreError::Unreadable`] if they were changed.
pub async fn content(store: &Store, user_id: Uuid, hash: &str) -> Result<Vec<u8>, StoreError> {
    check_hash(hash)?;
    let row = attachment_content::Entity::find_by_id((user_id, hash.to_owned()))
        .one(store.reader())
        .await?
        .ok_or_else(|| StoreError::not_found(NOUN, hash))?;
    let (found, content) = hashed(row.content).await?;
    if found != row.hash {
        let column = values::StoredValue {
            table: "attachment_contents",
            column: "content",
            row: &row.hash,
        };
        return Err(column.unreadable("it does not have its hash"));
    }
    Ok(content)
}

/// The hash of a content, which may take a tenth of a second: it is computed on a thread on which no other task waits.
async fn hashed(content: Vec<u8>) -> Result<(String, Vec<u8>), StoreError> {
    tokio::task::spawn_blocking(move || (hash(&content), content))
        .await
        .map_err(|error| StoreError::Database(error.to_string()))
}

/// All files of a user, newest upload first.
pub async fn list(store: &Store, user_id: Uuid) -> Result<Vec<Attachment>, StoreError> {
    let rows = Entity::find()
        .filter(Column::UserId.eq(user_id))
        .order_by_desc(Column::UploadedAtMs)
        .order_by_asc(Column::Hash)
        .all(store.reader())
        .await?;
    let mut references = references(store.reader(), user_id).await?;
    rows.into_iter()
        .map(|row| {
            let references = references.remove(&row.hash).unwrap_or(0);
            from_row(row, references)
        })
        .collect()
}

/// Bytes of all files of a user.
pub async fn total_bytes(store: &Store, user_id: Uuid) -> Result<u64, StoreError> {
    // The sum of no rows is NULL, and Postgres has another type for sums than for their columns.
    let sum = Func::coalesce([
        Expr::from(Func::sum(Expr::col(Column::SizeBytes))),
        Expr::value(0_i64),
    ]);
    let total = Entity::find()
        .select_only()
        .expr_as(Func::cast_as(sum, "BIGINT"), "total")
        .filter(Column::UserId.eq(user_id))
        .into_tuple::<i64>()
        .one(store.reader())
        .await?;
    let column = values::StoredValue {
        table: TABLE,
        column: "size_bytes",
        row: &"all",
    };
    column.unsigned(total.unwrap_or(0))
}

/// Deletes files that no message refers to and that were uploaded before a time, in transactions of at most `batch` files;
/// returns their number. The time leaves those that a user has added to a message that is not sent yet. An error leaves
/// complete batches deleted.
pub async fn collect(
    store: &Store,
    uploaded_before_ms: i64,
    batch: NonZeroU64,
) -> Result<u64, StoreError> {
    let mut total = 0;
    loop {
        let transaction = store.begin().await?;
        let unused = Entity::find()
            .select_only()
            .column(Column::UserId)
            .column(Column::Hash)
            .filter(Column::UploadedAtMs.lt(uploaded_before_ms))
            .filter(is_unused())
            .limit(batch.get())
            // Skips those that a transaction uploads again, or begins to refer to. One that begins now waits.
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .into_tuple::<(Uuid, String)>()
            .all(&transaction)
            .await?;
        let chosen = unused.len() as u64;
        for (user_id, hash) in unused {
            // A message of another gateway may have been stored between the choice and the lock.
            let deleted = Entity::delete_many()
                .filter(Column::UserId.eq(user_id))
                .filter(Column::Hash.eq(hash))
                .filter(is_unused())
                .exec(&transaction)
                .await?;
            total += deleted.rows_affected;
        }
        transaction.commit().await?;
        if chosen < batch.get() {
            return Ok(total);
        }
        // The write connection goes to a waiting writer first.
        tokio::task::yield_now().await;
    }
}

fn is_unused() -> Expr {
    use message_attachment::Column as Reference;

    let same_user = Expr::cust("message_attachments.user_id = attachments.user_id");
    let same_hash = Expr::cust("message_attachments.hash = attachments.hash");
    Expr::not_exists(
        Query::select()
            .column(Reference::MessageId)
            .from(message_attachment::Entity)
            .and_where(same_user)
            .and_where(same_hash)
            .to_owned(),
    )
}

/// Records which attachments a message refers to.
pub(crate) async fn refer(
    transaction: &DatabaseTransaction,
    user_id: Uuid,
    message_id: Uuid,
    body: &MessageBody,
) -> Result<(), StoreError> {
    let hashes = body.attachments();
    if hashes.is_empty() {
        return Ok(());
    }
    for hash in &hashes {
        check_hash(hash)?;
    }
    let stored = Entity::find()
        .select_only()
        .column(Column::Hash)
        .filter(Column::UserId.eq(user_id))
        .filter(Column::Hash.is_in(hashes.iter().copied()))
        // They are not collected before the references are stored.
        .lock(LockType::KeyShare)
        .into_tuple::<String>()
        .all(transaction)
        .await?;
    let stored: HashSet<&str> = stored.iter().map(String::as_str).collect();
    if let Some(missing) = hashes.iter().find(|hash| !stored.contains(*hash)) {
        return Err(StoreError::not_found(NOUN, missing));
    }
    message_attachment::Entity::delete_many()
        .filter(message_attachment::Column::MessageId.eq(message_id))
        .exec(transaction)
        .await?;
    let rows = hashes.iter().map(|hash| {
        let row = message_attachment::Model {
            message_id,
            hash: (*hash).to_owned(),
            user_id,
        };
        row.into_active_model()
    });
    message_attachment::Entity::insert_many::<message_attachment::ActiveModel, _>(rows)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// The number of messages that refer to each file of a user.
async fn references<C: ConnectionTrait>(
    connection: &C,
    user_id: Uuid,
) -> Result<HashMap<String, u64>, StoreError> {
    use message_attachment::Column as Reference;

    let counts = message_attachment::Entity::find()
        .select_only()
        .column(Reference::Hash)
        .expr_as(Reference::MessageId.count(), "messages")
        .filter(Reference::UserId.eq(user_id))
        .group_by(Reference::Hash)
        .into_tuple::<(String, i64)>()
        .all(connection)
        .await?;
    counts
        .into_iter()
        .map(|(hash, messages)| {
            let column = values::StoredValue {
                table: TABLE,
                column: "hash",
                row: &hash,
            };
            let messages = column.unsigned(messages)?;
            Ok((hash, messages))
        })
        .collect()
}

fn from_row(row: Model, references: u64) -> Result<Attachment, StoreError> {
    let size_bytes = values::StoredValue {
        table: TABLE,
        column: "size_bytes",
        row: &row.hash,
    };
    Ok(Attachment {
        size_bytes: size_bytes.unsigned(row.size_bytes)?,
        references,
        hash: row.hash,
        name: row.name,
        media_type: row.media_type,
        created_at_ms: row.created_at_ms,
        uploaded_at_ms: row.uploaded_at_ms,
    })
}

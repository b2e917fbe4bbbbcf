//! The download queue of a gateway. The queue is the table: a restart loses nothing.

use crate::connect::Store;
use crate::entities::download::{Column, Entity, Model};
use crate::error::StoreError;
use crate::time::now_ms;
use crate::values::{self, check_name, label, signed, stored_enum, to_json};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use std::collections::HashSet;
use uuid::Uuid;

const NOUN: &str = "download";
const TABLE: &str = "downloads";

stored_enum! {
    /// The state of a download.
    DownloadState {
        /// Not started yet.
        Queued = "queued",
        /// Reading the list of files, and the disk space.
        Checking = "checking",
        /// Transferring.
        Running = "running",
        /// Comparing checksums.
        Verifying = "verifying",
        /// Waiting for disk space, the network, or another program's lock.
        Waiting = "waiting",
        /// Paused by a user.
        Paused = "paused",
        /// Complete and verified.
        Done = "done",
        /// Given up; a user can retry.
        Failed = "failed",
        /// Cancelled by a user.
        Cancelled = "cancelled",
    }
}

impl DownloadState {
    /// Whether the download is over until a user starts it again.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// Whether it has been started and has not ended: only a running gateway has such downloads.
    pub fn is_active(self) -> bool {
        ACTIVE.contains(&self)
    }
}

/// States that only a running gateway can be in.
const ACTIVE: [DownloadState; 4] = [
    DownloadState::Checking,
    DownloadState::Running,
    DownloadState::Verifying,
    DownloadState::Waiting,
];

/// A download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Its id.
    pub id: Uuid,
    /// The gateway whose disk it is for.
    pub gateway_id: Uuid,
    /// Repository on the hub.
    pub repo_id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Patterns of the files to download; empty for those that are needed to run the model.
    pub files: Vec<String>,
    /// Its state and progress.
    pub progress: DownloadProgress,
    /// Time of the request.
    pub created_at_ms: i64,
    /// First time that it ran.
    pub started_at_ms: Option<i64>,
    /// Time at which it was done, failed or cancelled.
    pub finished_at_ms: Option<i64>,
}

/// What changes while a download runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadProgress {
    /// Its state.
    pub state: DownloadState,
    /// Bytes of all files, once they are known.
    pub total_bytes: Option<u64>,
    /// Bytes that are on the disk.
    pub done_bytes: u64,
    /// Why it waits or failed.
    pub error: Option<String>,
}

/// Appends a download to the queue of a gateway.
///
/// # Errors
/// [`StoreError::NotFound`] if the gateway is not registered, [`StoreError::Invalid`] for a bad name.
pub async fn enqueue(
    store: &Store,
    gateway_id: Uuid,
    repo_id: &str,
    revision: &str,
    files: &[String],
) -> Result<Download, StoreError> {
    check_name("repo_id", repo_id)?;
    check_name("revision", revision)?;
    for pattern in files {
        check_name("files", pattern)?;
    }
    let transaction = store.begin().await?;
    let registered = crate::entities::gateway::Entity::find_by_id(gateway_id)
        .one(&transaction)
        .await?;
    if registered.is_none() {
        return Err(StoreError::not_found("gateway", gateway_id));
    }
    let last = Entity::find()
        .filter(Column::GatewayId.eq(gateway_id))
        .order_by_desc(Column::Position)
        .limit(1)
        .one(&transaction)
        .await?;
    let row = Model {
        id: Uuid::now_v7(),
        gateway_id,
        repo_id: repo_id.to_owned(),
        revision: revision.to_owned(),
        position: last.map_or(0, |row| row.position + 1),
        state: DownloadState::Queued.as_str().to_owned(),
        total_bytes: None,
        done_bytes: 0,
        error: None,
        created_at_ms: now_ms(),
        started_at_ms: None,
        finished_at_ms: None,
        files: (!files.is_empty())
            .then(|| to_json("files", &files))
            .transpose()?,
    };
    Entity::insert(row.clone().into_active_model())
        .exec_without_returning(&transaction)
        .await?;
    transaction.commit().await?;
    from_row(row)
}

/// Stores the state and progress of a download, with the times of its first start and its end.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn update(
    store: &Store,
    id: Uuid,
    progress: &DownloadProgress,
) -> Result<(), StoreError> {
    let transaction = store.begin().await?;
    let Some(row) = Entity::find_by_id(id).one(&transaction).await? else {
        return Err(StoreError::not_found(NOUN, id));
    };
    let now = now_ms();
    let started = row
        .started_at_ms
        .or_else(|| progress.state.is_active().then_some(now));
    let finished = progress
        .state
        .is_finished()
        .then(|| row.finished_at_ms.unwrap_or(now));
    let total_bytes = progress
        .total_bytes
        .map(|bytes| signed("total_bytes", bytes))
        .transpose()?;
    Entity::update_many()
        .col_expr(Column::State, Expr::value(progress.state.as_str()))
        .col_expr(Column::TotalBytes, Expr::value(total_bytes))
        .col_expr(
            Column::DoneBytes,
            Expr::value(signed("done_bytes", progress.done_bytes)?),
        )
        .col_expr(
            Column::Error,
            Expr::value(progress.error.as_deref().map(label)),
        )
        .col_expr(Column::StartedAtMs, Expr::value(started))
        .col_expr(Column::FinishedAtMs, Expr::value(finished))
        .filter(Column::Id.eq(id))
        .exec(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Puts downloads that were active when a gateway ended back into its queue; returns their number. Called at its start.
pub async fn requeue_interrupted(store: &Store, gateway_id: Uuid) -> Result<u64, StoreError> {
    let transaction = store.begin().await?;
    let updated = Entity::update_many()
        .col_expr(Column::State, Expr::value(DownloadState::Queued.as_str()))
        .filter(Column::GatewayId.eq(gateway_id))
        .filter(Column::State.is_in(ACTIVE.map(DownloadState::as_str)))
        .exec(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(updated.rows_affected)
}

/// Changes the order of a queue: the named downloads come first, in this order, the others after them in theirs.
///
/// # Errors
/// [`StoreError::NotFound`] for a download of another gateway, [`StoreError::Invalid`] if one is named twice.
pub async fn reorder(store: &Store, gateway_id: Uuid, first: &[Uuid]) -> Result<(), StoreError> {
    let transaction = store.begin().await?;
    let existing = ids(&transaction, gateway_id).await?;
    let mut named = HashSet::new();
    for id in first {
        if !existing.contains(id) {
            return Err(StoreError::not_found(NOUN, id));
        }
        if !named.insert(*id) {
            return Err(StoreError::Invalid {
                field: "downloads",
                reason: format!("{id} is listed twice"),
            });
        }
    }
    let others = existing.iter().filter(|id| !named.contains(*id));
    for (position, id) in (0_i64..).zip(first.iter().chain(others)) {
        Entity::update_many()
            .col_expr(Column::Position, Expr::value(position))
            .filter(Column::Id.eq(*id))
            .exec(&transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn ids(transaction: &DatabaseTransaction, gateway_id: Uuid) -> Result<Vec<Uuid>, StoreError> {
    let rows = Entity::find()
        .filter(Column::GatewayId.eq(gateway_id))
        .order_by_asc(Column::Position)
        .all(transaction)
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// The downloads of a gateway, in the order of its queue.
pub async fn list(store: &Store, gateway_id: Uuid) -> Result<Vec<Download>, StoreError> {
    let rows = Entity::find()
        .filter(Column::GatewayId.eq(gateway_id))
        .order_by_asc(Column::Position)
        .all(store.reader())
        .await?;
    rows.into_iter().map(from_row).collect()
}

/// Deletes the row of a download; `false` if there is none with this id.
pub async fn delete(store: &Store, id: Uuid) -> Result<bool, StoreError> {
    let transaction = store.begin().await?;
    let deleted = Entity::delete_many()
        .filter(Column::Id.eq(id))
        .exec(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(deleted.rows_affected > 0)
}

fn from_row(row: Model) -> Result<Download, StoreError> {
    let id = row.id;
    let column = |column| values::StoredValue {
        table: TABLE,
        column,
        row: &id,
    };
    let progress = DownloadProgress {
        state: column("state").variant(DownloadState::from_stored(&row.state), &row.state)?,
        total_bytes: row
            .total_bytes
            .map(|bytes| column("total_bytes").unsigned(bytes))
            .transpose()?,
        done_bytes: column("done_bytes").unsigned(row.done_bytes)?,
        error: row.error,
    };
    Ok(Download {
        id,
        gateway_id: row.gateway_id,
        repo_id: row.repo_id,
        revision: row.revision,
        files: row
            .files
            .map(|text| column("files").json(&text))
            .transpose()?
            .unwrap_or_default(),
        progress,
        created_at_ms: row.created_at_ms,
        started_at_ms: row.started_at_ms,
        finished_at_ms: row.finished_at_ms,
    })
}

//! Runs: tasks of a gateway that write responses, with snapshots that survive its end.

mod start;

pub use start::{NewRun, RunTarget, StartedRun, start};

use crate::chats::{self, ChatProtocol};
use crate::connect::Store;
use crate::entities::run::{ActiveModel, Column, Entity, Model};
use crate::entities::{chat, gateway, message};
use crate::error::StoreError;
use crate::messages::{self, MessageBody, MessageState};
use crate::time::now_ms;
use crate::values::{self, signed, stored_enum};
use crate::{attachments, search};
use sea_orm::sea_query::{Expr, LockType, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect, Set,
};
use uuid::Uuid;

const NOUN: &str = "run";
const TABLE: &str = "runs";

/// After this time without a heartbeat, a gateway does not return: one that sleeps with its machine may.
const GONE_MS: i64 = 60 * 60 * 1000;

stored_enum! {
    /// The state of a run.
    RunState {
        /// Waiting for a download, a start, memory or its turn.
        Waiting = "waiting",
        /// Computing the prompt, or generating.
        Running = "running",
        /// Ended by the model or a limit.
        Finished = "finished",
        /// Stopped by the user.
        Stopped = "stopped",
        /// Ended by an error.
        Failed = "failed",
        /// Its gateway ended.
        Interrupted = "interrupted",
    }
}

impl RunState {
    /// Whether the run has ended.
    pub const fn is_ended(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    /// The state of the message that the run writes.
    const fn of_message(self) -> MessageState {
        match self {
            Self::Waiting | Self::Running => MessageState::Running,
            Self::Finished => MessageState::Complete,
            Self::Stopped => MessageState::Stopped,
            Self::Failed => MessageState::Failed,
            Self::Interrupted => MessageState::Interrupted,
        }
    }
}

/// A run. How far it is, is in its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// Its chat.
    pub chat_id: Uuid,
    /// The response that it writes.
    pub message_id: Uuid,
    /// The gateway that it is a task of.
    pub gateway_id: Uuid,
    /// The `x-request-id` of its request.
    pub request_id: String,
    /// Name of the profile or model.
    pub model: String,
    /// The API that it uses.
    pub protocol: ChatProtocol,
    /// Its state.
    pub state: RunState,
    /// When it began.
    pub started_at_ms: i64,
    /// Time of its last snapshot.
    pub updated_at_ms: i64,
    /// When it ended.
    pub finished_at_ms: Option<i64>,
}

/// A run as of one of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The run.
    pub run_id: Uuid,
    /// Its state. The message ends with the run.
    pub state: RunState,
    /// Number of the last event that the body contains.
    pub seq: u64,
    /// The whole response so far.
    pub body: MessageBody,
}

/// Stores a run as of one of its events, together with its message.
///
/// # Errors
/// [`StoreError::NotFound`] if it was purged with its chat, or has not ended and its chat is deleted, and
/// [`StoreError::Invalid`] if it has ended before, or a snapshot of a later event is stored.
pub async fn save(store: &Store, snapshot: &Snapshot) -> Result<(), StoreError> {
    let seq = signed("seq", snapshot.seq)?;
    let mut columns = messages::body_columns(&snapshot.body)?;
    columns.seq = Set(seq);
    let transaction = store.begin().await?;
    let row = Entity::find_by_id(snapshot.run_id)
        // Another gateway may interrupt it at the same time.
        .lock(LockType::NoKeyUpdate)
        .one(&transaction)
        .await?;
    let row = row.ok_or_else(|| StoreError::not_found(NOUN, snapshot.run_id))?;
    let mut run = from_row(row)?;
    if run.state.is_ended() {
        return Err(invalid_snapshot(format!("the run {} has ended", run.id)));
    }
    if !snapshot.state.is_ended() {
        chats::owned(&transaction, run.user_id, run.chat_id).await?;
    }
    let updated = message::Entity::update_many()
        .set(columns)
        .filter(message::Column::Id.eq(run.message_id))
        .filter(message::Column::RunId.eq(run.id))
        .filter(message::Column::Seq.lte(seq))
        .exec(&transaction)
        .await?;
    if updated.rows_affected == 0 {
        return Err(invalid_snapshot(format!(
            "a later event than {seq} is stored"
        )));
    }
    set_state(&transaction, &mut run, snapshot.state).await?;
    if snapshot.state.is_ended() {
        attachments::refer(&transaction, run.user_id, run.message_id, &snapshot.body).await?;
        index(&transaction, &run, &snapshot.body).await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn invalid_snapshot(reason: String) -> StoreError {
    StoreError::Invalid {
        field: "snapshot",
        reason,
    }
}

/// Stores the state of a run in its row and in that of its message.
async fn set_state(
    transaction: &DatabaseTransaction,
    run: &mut Run,
    state: RunState,
) -> Result<(), StoreError> {
    let now = now_ms();
    run.state = state;
    run.updated_at_ms = now;
    run.finished_at_ms = state.is_ended().then_some(now);
    let columns = ActiveModel {
        state: Set(state.as_str().to_owned()),
        updated_at_ms: Set(run.updated_at_ms),
        finished_at_ms: Set(run.finished_at_ms),
        ..Default::default()
    };
    Entity::update_many()
        .set(columns)
        .filter(Column::Id.eq(run.id))
        .exec(transaction)
        .await?;
    message::Entity::update_many()
        .col_expr(
            message::Column::State,
            Expr::value(state.of_message().as_str()),
        )
        .col_expr(message::Column::UpdatedAtMs, Expr::value(now))
        .filter(message::Column::Id.eq(run.message_id))
        .exec(transaction)
        .await?;
    if state.is_ended() {
        chats::record_activity(transaction, run.chat_id).await?;
    }
    Ok(())
}

/// Adds a response that has ended to the index of the search.
async fn index(
    transaction: &DatabaseTransaction,
    run: &Run,
    body: &MessageBody,
) -> Result<(), StoreError> {
    let chat = chat::Entity::find_by_id(run.chat_id)
        .one(transaction)
        .await?;
    if chat.is_some_and(|chat| !chat.is_temporary) {
        let text = body.search_text();
        search::index_message(transaction, run.chat_id, run.message_id, &text).await?;
    }
    Ok(())
}

/// A run by its id.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn get(store: &Store, user_id: Uuid, id: Uuid) -> Result<Run, StoreError> {
    let row = Entity::find_by_id(id)
        .filter(Column::UserId.eq(user_id))
        .one(store.reader())
        .await?;
    match row {
        Some(row) => from_row(row),
        None => Err(StoreError::not_found(NOUN, id)),
    }
}

/// Ends the runs of gateways that have ended, and their messages, as interrupted; returns the runs. Called at the start of a
/// gateway, before it has runs. On SQLite, all others have ended. On Postgres, those without a heartbeat for an hour have.
pub async fn interrupt(store: &Store, gateway_id: Uuid) -> Result<Vec<Run>, StoreError> {
    let transaction = store.begin().await?;
    let backend = transaction.get_database_backend();
    let gone = (backend == DbBackend::Postgres).then(|| {
        Condition::any()
            .add(Column::GatewayId.eq(gateway_id))
            .add(Column::GatewayId.not_in_subquery(alive(now_ms() - GONE_MS)))
    });
    let rows = Entity::find()
        .filter(
            Condition::all()
                .add(Column::FinishedAtMs.is_null())
                .add_option(gone),
        )
        .order_by_asc(Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(&transaction)
        .await?;
    let mut runs = rows
        .into_iter()
        .map(from_row)
        .collect::<Result<Vec<_>, _>>()?;
    for run in &mut runs {
        set_state(&transaction, run, RunState::Interrupted).await?;
        if let Some(message) = messages::by_ids(&transaction, &[run.message_id])
            .await?
            .pop()
        {
            index(&transaction, run, &message.body).await?;
        }
    }
    transaction.commit().await?;
    Ok(runs)
}

/// The ids of gateways with a heartbeat at or after a time.
fn alive(since_ms: i64) -> SelectStatement {
    Query::select()
        .column(gateway::Column::Id)
        .from(gateway::Entity)
        .and_where(gateway::Column::HeartbeatAtMs.gte(since_ms))
        .to_owned()
}

fn from_row(row: Model) -> Result<Run, StoreError> {
    let id = row.id;
    let column = |column| values::StoredValue {
        table: TABLE,
        column,
        row: &id,
    };
    Ok(Run {
        id,
        user_id: row.user_id,
        chat_id: row.chat_id,
        message_id: row.message_id,
        gateway_id: row.gateway_id,
        request_id: row.request_id,
        model: row.model,
        protocol: column("protocol")
            .variant(ChatProtocol::from_stored(&row.protocol), &row.protocol)?,
        state: column("state").variant(RunState::from_stored(&row.state), &row.state)?,
        started_at_ms: row.started_at_ms,
        updated_at_ms: row.updated_at_ms,
        finished_at_ms: row.finished_at_ms,
    })
}

//! Servers: the worker processes of a gateway. A gateway that starts reads them to adopt or stop what is still running.

use crate::connect::Store;
use crate::entities::server::{Column, Entity, Model};
use crate::error::StoreError;
use crate::time::now_ms;
use crate::values::{self, check_name, signed, stored_enum, to_json};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    SqlErr,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

const NOUN: &str = "server";
const TABLE: &str = "servers";

stored_enum! {
    /// The state of a worker process.
    ServerState {
        /// Loading its model.
        Starting = "starting",
        /// Responding.
        Ready = "ready",
        /// Running, but not responding.
        Unhealthy = "unhealthy",
        /// Waiting to be started again.
        Restarting = "restarting",
        /// Not started again until a user does it or its settings change.
        Failed = "failed",
        /// Finishing its requests.
        Stopping = "stopping",
        /// Its process has exited as requested.
        Stopped = "stopped",
        /// Its gateway is gone.
        Orphaned = "orphaned",
    }
}

/// Why a server is in its state, and what happened before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateDetail {
    /// Stable code, such as "killed_externally".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Exit status of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<i32>,
    /// Signal that ended the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The last lines of its log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its id.
    pub id: Uuid,
    /// The gateway that owns it.
    pub gateway_id: Uuid,
    /// The profile it was started from; `None` for a model on demand.
    pub profile_id: Option<Uuid>,
    /// Repository name or path of the model.
    pub model: String,
    /// Process id.
    pub pid: u32,
    /// Start of the process as the system reports it: with the id, it identifies the process.
    pub process_started_at_ms: i64,
    /// Port it listens on, once it is known.
    pub port: Option<u16>,
    /// First start of this server.
    pub started_at_ms: i64,
    /// Its state.
    pub state: ServerState,
    /// Why it is in that state.
    pub state_detail: Option<StateDetail>,
    /// Last successful health check.
    pub last_health_at_ms: Option<i64>,
    /// Number of restarts.
    pub restarts: u64,
    /// What its gateway needs to adopt it after a restart, in a format of its own.
    pub launch: Option<Value>,
}

/// A server whose process was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServer {
    /// Its id, from which its key is derived: made before the process is started.
    pub id: Uuid,
    /// The gateway that owns it.
    pub gateway_id: Uuid,
    /// The profile it was started from.
    pub profile_id: Option<Uuid>,
    /// Repository name or path of the model.
    pub model: String,
    /// Process id.
    pub pid: u32,
    /// Start of the process as the system reports it.
    pub process_started_at_ms: i64,
    /// What its gateway needs to adopt it after a restart.
    pub launch: Option<Value>,
}

/// Stores a server in the state starting.
///
/// # Errors
/// [`StoreError::NotFound`] if the gateway or the profile does not exist, [`StoreError::Invalid`] for a bad value.
pub async fn create(store: &Store, new: NewServer) -> Result<Server, StoreError> {
    let server = Server {
        id: new.id,
        gateway_id: new.gateway_id,
        profile_id: new.profile_id,
        model: new.model,
        pid: new.pid,
        process_started_at_ms: new.process_started_at_ms,
        port: None,
        started_at_ms: now_ms(),
        state: ServerState::Starting,
        state_detail: None,
        last_health_at_ms: None,
        restarts: 0,
        launch: new.launch,
    };
    let row = to_row(&server)?.into_active_model();
    let transaction = store.begin().await?;
    Entity::insert(row)
        .exec_without_returning(&transaction)
        .await
        .map_err(|error| write_error(error, &server))?;
    transaction.commit().await?;
    Ok(server)
}

/// Replaces the row of a server.
///
/// # Errors
/// [`StoreError::NotFound`] if the server, its gateway or its profile does not exist.
pub async fn update(store: &Store, server: &Server) -> Result<(), StoreError> {
    let row = to_row(server)?.into_active_model().reset_all();
    let transaction = store.begin().await?;
    Entity::update(row)
        .exec_without_returning(&transaction)
        .await
        .map_err(|error| write_error(error, server))?;
    transaction.commit().await?;
    Ok(())
}

/// Deletes a server; `false` if there is none with this id.
pub async fn delete(store: &Store, id: Uuid) -> Result<bool, StoreError> {
    let transaction = store.begin().await?;
    let deleted = Entity::delete_many()
        .filter(Column::Id.eq(id))
        .exec(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(deleted.rows_affected > 0)
}

/// The servers of a gateway, by start.
pub async fn list(store: &Store, gateway_id: Uuid) -> Result<Vec<Server>, StoreError> {
    let rows = Entity::find()
        .filter(Column::GatewayId.eq(gateway_id))
        .order_by_asc(Column::Id)
        .all(store.reader())
        .await?;
    rows.into_iter().map(from_row).collect()
}

fn write_error(error: DbErr, server: &Server) -> StoreError {
    if matches!(error, DbErr::RecordNotUpdated) {
        return StoreError::not_found(NOUN, server.id);
    }
    if let Some(SqlErr::ForeignKeyConstraintViolation(_)) = error.sql_err() {
        let profile = server
            .profile_id
            .map_or_else(String::new, |id| format!(" or profile {id}"));
        return StoreError::not_found("gateway", format!("{}{profile}", server.gateway_id));
    }
    error.into()
}

fn to_row(server: &Server) -> Result<Model, StoreError> {
    check_name("model", &server.model)?;
    Ok(Model {
        id: server.id,
        gateway_id: server.gateway_id,
        profile_id: server.profile_id,
        model: server.model.clone(),
        pid: i64::from(server.pid),
        process_started_at_ms: server.process_started_at_ms,
        port: server.port.map(i32::from),
        started_at_ms: server.started_at_ms,
        state: server.state.as_str().to_owned(),
        state_detail: server
            .state_detail
            .as_ref()
            .map(|detail| to_json("state_detail", detail))
            .transpose()?,
        last_health_at_ms: server.last_health_at_ms,
        restarts: signed("restarts", server.restarts)?,
        launch: server
            .launch
            .as_ref()
            .map(|launch| to_json("launch", launch))
            .transpose()?,
    })
}

fn from_row(row: Model) -> Result<Server, StoreError> {
    let id = row.id;
    let column = |column| values::StoredValue {
        table: TABLE,
        column,
        row: &id,
    };
    Ok(Server {
        id,
        gateway_id: row.gateway_id,
        profile_id: row.profile_id,
        model: row.model,
        pid: column("pid").unsigned(row.pid)?,
        process_started_at_ms: row.process_started_at_ms,
        port: row
            .port
            .map(|port| column("port").unsigned(i64::from(port)))
            .transpose()?,
        started_at_ms: row.started_at_ms,
        state: column("state").variant(ServerState::from_stored(&row.state), &row.state)?,
        state_detail: row
            .state_detail
            .map(|text| column("state_detail").json(&text))
            .transpose()?,
        last_health_at_ms: row.last_health_at_ms,
        restarts: column("restarts").unsigned(row.restarts)?,
        launch: row
            .launch
            .map(|text| column("launch").json(&text))
            .transpose()?,
    })
}

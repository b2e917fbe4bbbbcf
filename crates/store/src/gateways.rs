//! Gateways that use this database, each with a heartbeat. Servers and downloads belong to one.

use crate::connect::Store;
use crate::entities::gateway::{Column, Entity, Model};
use crate::error::{StoreError, require_row};
use crate::time::now_ms;
use crate::values::{self, check_name, check_text};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use uuid::Uuid;

const NOUN: &str = "gateway";
const TABLE: &str = "gateways";

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its id, the same after a restart.
    pub id: Uuid,
    /// Name of the machine.
    pub host: String,
    /// URL at which other gateways reach it.
    pub address: String,
    /// Version of mlxm.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Start of the process.
    pub started_at_ms: i64,
    /// Last heartbeat.
    pub heartbeat_at_ms: i64,
}

/// A gateway that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGateway {
    /// The id of the previous start; a new one is made without it.
    pub id: Option<Uuid>,
    /// Name of the machine.
    pub host: String,
    /// URL at which other gateways reach it.
    pub address: String,
    /// Version of mlxm.
    pub version: String,
    /// Process id.
    pub pid: u32,
}

/// Stores that a gateway has started, in place of its previous start.
///
/// # Errors
/// [`StoreError::Invalid`] for a bad value.
pub async fn register(store: &Store, new: NewGateway) -> Result<Gateway, StoreError> {
    check_name("host", &new.host)?;
    check_name("address", &new.address)?;
    check_text("version", &new.version)?;
    let now = now_ms();
    let gateway = Gateway {
        id: new.id.unwrap_or_else(Uuid::now_v7),
        host: new.host,
        address: new.address,
        version: new.version,
        pid: new.pid,
        started_at_ms: now,
        heartbeat_at_ms: now,
    };
    let mut replace = OnConflict::column(Column::Id);
    replace.update_columns([
        Column::Host,
        Column::Address,
        Column::Version,
        Column::Pid,
        Column::StartedAtMs,
        Column::HeartbeatAtMs,
    ]);
    let transaction = store.begin().await?;
    Entity::insert(to_row(&gateway).into_active_model())
        .on_conflict(replace)
        .exec_without_returning(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(gateway)
}

/// Stores the current time as the gateway's heartbeat.
///
/// # Errors
/// [`StoreError::NotFound`] if the gateway is not registered.
pub async fn heartbeat(store: &Store, id: Uuid) -> Result<(), StoreError> {
    let transaction = store.begin().await?;
    let updated = Entity::update_many()
        .col_expr(Column::HeartbeatAtMs, Expr::value(now_ms()))
        .filter(Column::Id.eq(id))
        .exec(&transaction)
        .await?;
    require_row(updated.rows_affected, NOUN, id)?;
    transaction.commit().await?;
    Ok(())
}

/// Deletes a gateway with its servers and downloads.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn delete(store: &Store, id: Uuid) -> Result<(), StoreError> {
    let transaction = store.begin().await?;
    let deleted = Entity::delete_many()
        .filter(Column::Id.eq(id))
        .exec(&transaction)
        .await?;
    require_row(deleted.rows_affected, NOUN, id)?;
    transaction.commit().await?;
    Ok(())
}

/// All gateways, by their first start.
pub async fn list(store: &Store) -> Result<Vec<Gateway>, StoreError> {
    let rows = Entity::find()
        .order_by_asc(Column::Id)
        .all(store.reader())
        .await?;
    rows.into_iter().map(from_row).collect()
}

fn to_row(gateway: &Gateway) -> Model {
    Model {
        id: gateway.id,
        host: gateway.host.clone(),
        address: gateway.address.clone(),
        version: gateway.version.clone(),
        pid: i64::from(gateway.pid),
        started_at_ms: gateway.started_at_ms,
        heartbeat_at_ms: gateway.heartbeat_at_ms,
    }
}

fn from_row(row: Model) -> Result<Gateway, StoreError> {
    let pid = values::StoredValue {
        table: TABLE,
        column: "pid",
        row: &row.id,
    };
    Ok(Gateway {
        id: row.id,
        pid: pid.unsigned(row.pid)?,
        host: row.host,
        address: row.address,
        version: row.version,
        started_at_ms: row.started_at_ms,
        heartbeat_at_ms: row.heartbeat_at_ms,
    })
}

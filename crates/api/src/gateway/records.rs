//! The records of running workers in the database, from which the next gateway adopts them.

use std::path::PathBuf;

use mlxm_gateway::{
    CacheSize, LoadSettings, ProcessIdentity, ServerRecord, ServerState, ServerStore, StoreError,
    Ttl,
};
use mlxm_store::servers::{self, NewServer, Server, StateDetail};
use mlxm_store::{Store, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The workers of one gateway.
#[derive(Debug, Clone)]
pub struct StoredServers {
    store: Store,
    gateway: Uuid,
}

/// What the columns of a server do not have.
#[derive(Debug, Serialize, Deserialize)]
struct Launch {
    program: PathBuf,
    settings: LoadSettings,
    size: CacheSize,
    ttl: Ttl,
    version: Option<String>,
    #[serde(default)]
    capabilities: Value,
}

impl StoredServers {
    /// The workers of the gateway with this id.
    pub fn new(store: Store, gateway: Uuid) -> Self {
        Self { store, gateway }
    }
}

impl ServerStore for StoredServers {
    async fn list(&self) -> Result<Vec<ServerRecord>, StoreError> {
        let rows = servers::list(&self.store, self.gateway).await?;
        let mut records = Vec::new();
        for row in rows {
            let id = row.id;
            match record(row) {
                Ok(record) => records.push(record),
                Err(error) => {
                    // It exits by itself after its grace period.
                    tracing::warn!(server = %id, %error, "a running worker cannot be adopted");
                    servers::delete(&self.store, id).await?;
                }
            }
        }
        Ok(records)
    }

    async fn save(&self, record: &ServerRecord) -> Result<(), StoreError> {
        let Some(process) = &record.process else {
            // There is nothing to adopt.
            return Ok(());
        };
        let row = row(record, process, self.gateway)?;
        match servers::update(&self.store, &row).await {
            Err(mlxm_store::StoreError::NotFound { .. }) => {
                servers::create(&self.store, new_row(&row)).await?;
                Ok(servers::update(&self.store, &row).await?)
            }
            updated => Ok(updated?),
        }
    }

    async fn remove(&self, id: Uuid) -> Result<(), StoreError> {
        servers::delete(&self.store, id).await?;
        Ok(())
    }
}

fn row(
    record: &ServerRecord,
    process: &ProcessIdentity,
    gateway: Uuid,
) -> Result<Server, StoreError> {
    let launch = Launch {
        program: process.program.clone(),
        settings: record.settings.clone(),
        size: record.size,
        ttl: record.ttl,
        version: record.version.clone(),
        capabilities: record.capabilities.clone(),
    };
    Ok(Server {
        id: record.id,
        gateway_id: gateway,
        profile_id: None,
        model: record.name.clone(),
        pid: process.pid,
        process_started_at_ms: milliseconds(process.start_time_s.saturating_mul(1000)),
        port: record.port,
        started_at_ms: milliseconds(record.started_at_ms),
        state: stored_state(record.state),
        state_detail: record.detail.clone().map(|message| StateDetail {
            message: Some(message),
            ..StateDetail::default()
        }),
        last_health_at_ms: None,
        restarts: record.restarts.into(),
        launch: Some(serde_json::to_value(launch)?),
    })
}

fn new_row(row: &Server) -> NewServer {
    NewServer {
        id: row.id,
        gateway_id: row.gateway_id,
        profile_id: row.profile_id,
        model: row.model.clone(),
        pid: row.pid,
        process_started_at_ms: row.process_started_at_ms,
        launch: row.launch.clone(),
    }
}

fn record(row: Server) -> Result<ServerRecord, serde_json::Error> {
    let launch: Launch = serde_json::from_value(row.launch.unwrap_or_default())?;
    Ok(ServerRecord {
        id: row.id,
        name: row.model,
        settings: launch.settings,
        size: launch.size,
        ttl: launch.ttl,
        port: row.port,
        version: launch.version,
        capabilities: launch.capabilities,
        process: Some(ProcessIdentity {
            pid: row.pid,
            start_time_s: (row.process_started_at_ms / 1000).unsigned_abs(),
            program: launch.program,
        }),
        state: state(row.state),
        detail: row.state_detail.and_then(|detail| detail.message),
        started_at_ms: row.started_at_ms.unsigned_abs(),
        restarts: row.restarts as u32,
    })
}

/// A time as the database has it.
fn milliseconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn stored_state(state: ServerState) -> servers::ServerState {
    match state {
        ServerState::Starting => servers::ServerState::Starting,
        ServerState::Ready => servers::ServerState::Ready,
        ServerState::Unhealthy => servers::ServerState::Unhealthy,
        ServerState::Restarting => servers::ServerState::Restarting,
        ServerState::Failed => servers::ServerState::Failed,
        ServerState::Stopping => servers::ServerState::Stopping,
        ServerState::Stopped => servers::ServerState::Stopped,
        ServerState::Orphaned => servers::ServerState::Orphaned,
    }
}

fn state(stored: servers::ServerState) -> ServerState {
    match stored {
        servers::ServerState::Starting => ServerState::Starting,
        servers::ServerState::Ready => ServerState::Ready,
        servers::ServerState::Unhealthy => ServerState::Unhealthy,
        servers::ServerState::Restarting => ServerState::Restarting,
        servers::ServerState::Failed => ServerState::Failed,
        servers::ServerState::Stopping => ServerState::Stopping,
        servers::ServerState::Stopped => ServerState::Stopped,
        servers::ServerState::Orphaned => ServerState::Orphaned,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn worker() -> ServerRecord {
        ServerRecord {
            id: Uuid::now_v7(),
            name: "org/model".to_owned(),
            settings: LoadSettings {
                context_length: Some(4096),
                ..LoadSettings::new("/models/model")
            },
            size: CacheSize {
                context_length: 4096,
                kv_pool_tokens: 8192,
                plan_bytes: 1 << 30,
            },
            ttl: Ttl::After(Duration::from_mins(5)),
            port: Some(40123),
            version: Some("0.1.0".to_owned()),
            capabilities: json!({"chat": true}),
            process: Some(ProcessIdentity {
                pid: 4711,
                start_time_s: 1_764_000_000,
                program: "/usr/bin/mlxm".into(),
            }),
            state: ServerState::Ready,
            detail: None,
            started_at_ms: 1_764_000_000_123,
            restarts: 2,
        }
    }

    #[test]
    fn record_is_the_same_after_it_was_stored() {
        let worker = worker();
        for ttl in [worker.ttl, Ttl::Keep] {
            let worker = ServerRecord {
                ttl,
                ..worker.clone()
            };
            let process = worker.process.clone().unwrap();
            let row = row(&worker, &process, Uuid::now_v7()).unwrap();
            assert_eq!(record(row).unwrap(), worker);
        }
    }

    #[test]
    fn row_of_another_version_is_an_error() {
        let worker = worker();
        let process = worker.process.clone().unwrap();
        let row = row(&worker, &process, Uuid::now_v7()).unwrap();
        let other = Server {
            launch: Some(json!({"format": 2})),
            ..row.clone()
        };
        assert!(record(other).is_err());
        assert!(
            record(Server {
                launch: None,
                ..row
            })
            .is_err()
        );
    }
}

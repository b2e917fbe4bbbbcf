//! What the gateway's other parts report, as events of the bus: servers, and models on this machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlxm_gateway::{ServerEvent as PoolEvent, ServerRecord, ServerState, ServerStatus};
use mlxm_hub::LocalModel;
use tokio::sync::broadcast::error::RecvError;

use super::logs::line_text;
use crate::gateway::management::{describe_servers, pool_status};
use crate::gateway::models::local::describe;
use crate::gateway::{GatewayState, Snapshot};
use crate::wire::events::{Event, ModelEvent, ServerEvent};

/// Publishes changes of servers until the pool exits.
pub async fn publish_servers(state: GatewayState) {
    let mut events = state.pool().events();
    loop {
        match events.recv().await {
            Ok(PoolEvent::Changed(record)) => {
                changed(&state, *record).await;
                publish_pool(&state).await;
            }
            Ok(PoolEvent::Loading {
                id,
                loaded_bytes,
                total_bytes,
            }) => publish(
                &state,
                ServerEvent::Loading {
                    id,
                    loaded_bytes,
                    total_bytes,
                },
            ),
            Ok(PoolEvent::Leases { id, running }) => {
                let running = running as u64;
                publish(&state, ServerEvent::Running { id, running });
            }
            Ok(PoolEvent::Exited {
                id,
                cause,
                log_tail,
            }) => {
                let exited = ServerEvent::Exited {
                    id,
                    cause: cause.kind().to_owned(),
                    message: cause.describe(),
                    log_tail: log_tail.iter().map(|line| line_text(line)).collect(),
                };
                publish(&state, exited);
                publish_pool(&state).await;
            }
            Err(RecvError::Lagged(_)) => publish_pool(&state).await,
            Err(RecvError::Closed) => return,
        }
    }
}

fn publish(state: &GatewayState, event: ServerEvent) {
    state.bus().publish(Event::Servers(event));
}

/// Publishes a change, or nothing if later events say that a server which failed is no longer listed.
async fn changed(state: &GatewayState, record: ServerRecord) {
    let status = state.pool().servers().await;
    let current = status.ok().and_then(|status| {
        let mut servers = status.all().into_iter();
        servers.find(|server| server.record.id == record.id)
    });
    let Some(server) = status_of(record, current) else {
        return;
    };
    for server in describe_servers(&state.snapshot(), &[server]) {
        let server = Box::new(server);
        publish(state, ServerEvent::Changed { server });
    }
}

/// The status of a server when it changed, as far as it is known: `current` may be later, and is absent for one that is gone.
fn status_of(record: ServerRecord, current: Option<ServerStatus>) -> Option<ServerStatus> {
    match current {
        // Its cause is known only together with its state.
        Some(current) if current.failure.is_some() => Some(current),
        Some(current) => Some(ServerStatus { record, ..current }),
        None if matches!(record.state, ServerState::Failed | ServerState::Restarting) => None,
        None => Some(ServerStatus {
            record,
            running: 0,
            pinned: false,
            last_used_at_ms: None,
            failure: None,
        }),
    }
}

async fn publish_pool(state: &GatewayState) {
    // Without the pool, the gateway exits.
    if let Ok(status) = pool_status(state).await {
        state.bus().publish(Event::Pool(status));
    }
}

/// Publishes changes of the models on this machine until the gateway exits.
pub async fn publish_models(state: GatewayState) {
    let mut snapshots = state.subscribe_snapshot();
    let mut known = by_name(&snapshots.borrow_and_update().clone());
    while snapshots.changed().await.is_ok() {
        let snapshot: Arc<Snapshot> = snapshots.borrow_and_update().clone();
        let current = by_name(&snapshot);
        let removed = known.keys().filter(|name| !current.contains_key(*name));
        for name in removed {
            let name = name.clone();
            let event = Event::Models(ModelEvent::Removed { name });
            state.bus().publish(event);
        }
        let changed: Vec<String> = current
            .iter()
            .filter(|(name, model)| known.get(*name) != Some(*model))
            .map(|(name, _)| name.clone())
            .collect();
        known = current;
        if changed.is_empty() {
            continue;
        }
        for model in describe(&state, changed).await.unwrap_or_default() {
            let model = Box::new(model);
            state
                .bus()
                .publish(Event::Models(ModelEvent::Changed { model }));
        }
    }
}

fn by_name(snapshot: &Snapshot) -> BTreeMap<String, LocalModel> {
    let models = snapshot.models.iter();
    models
        .map(|model| (model.name.clone(), model.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use mlxm_gateway::{CacheSize, LoadSettings, ServerFailure, Ttl};
    use mlxm_store::Uuid;
    use serde_json::Value;

    use super::*;

    fn record(state: ServerState) -> ServerRecord {
        ServerRecord {
            id: Uuid::nil(),
            name: "org/model".to_owned(),
            settings: LoadSettings::new("/models/model"),
            size: CacheSize {
                context_length: 1,
                kv_pool_tokens: 1,
                plan_bytes: 1,
            },
            ttl: Ttl::Keep,
            port: None,
            version: None,
            capabilities: Value::Null,
            process: None,
            state,
            detail: None,
            started_at_ms: 0,
            restarts: 0,
        }
    }

    fn status(state: ServerState, failure: Option<ServerFailure>) -> ServerStatus {
        ServerStatus {
            record: record(state),
            running: 3,
            pinned: true,
            last_used_at_ms: None,
            failure,
        }
    }

    #[test]
    fn a_failed_server_is_published_with_its_cause_or_not_at_all() {
        let failure = ServerFailure {
            code: "killed".to_owned(),
            message: "killed".to_owned(),
            advice: String::new(),
            log_tail: Vec::new(),
        };
        for state in [ServerState::Failed, ServerState::Restarting] {
            // Another server has replaced it since.
            assert!(status_of(record(state), None).is_none());
            let failed = status_of(record(state), Some(status(state, Some(failure.clone()))));
            assert_eq!(failed.unwrap().failure, Some(failure.clone()));
        }
        // It has failed since.
        let current = status(ServerState::Failed, Some(failure));
        let starting = status_of(record(ServerState::Starting), Some(current)).unwrap();
        assert_eq!(starting.record.state, ServerState::Failed);
    }

    #[test]
    fn each_state_of_a_process_is_published() {
        let current = status(ServerState::Ready, None);
        let starting = status_of(record(ServerState::Starting), Some(current)).unwrap();
        assert_eq!(starting.record.state, ServerState::Starting);
        assert_eq!((starting.running, starting.pinned), (3, true));
        let stopped = status_of(record(ServerState::Stopped), None).unwrap();
        assert_eq!(stopped.record.state, ServerState::Stopped);
    }
}

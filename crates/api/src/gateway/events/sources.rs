//! What the gateway's other parts report, as events of the bus: servers, and models on this machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlxm_gateway::{ServerEvent as PoolEvent, ServerRecord, ServerStatus};
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

/// A server that is gone has no status any more.
async fn changed(state: &GatewayState, record: ServerRecord) {
    let status = state.pool().servers().await;
    let current = status.ok().and_then(|status| {
        let mut servers = status.all().into_iter();
        servers.find(|server| server.record.id == record.id)
    });
    let server = match current {
        Some(current) => ServerStatus { record, ..current },
        None => ServerStatus {
            record,
            running: 0,
            pinned: false,
            last_used_at_ms: None,
            failure: None,
        },
    };
    for server in describe_servers(&state.snapshot(), &[server]) {
        let server = Box::new(server);
        publish(state, ServerEvent::Changed { server });
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

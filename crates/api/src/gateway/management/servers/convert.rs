//! Servers as the API shows them.

use std::collections::BTreeMap;
use std::path::Path;

use mlxm_gateway::{CacheSize, LoadSettings, ServerStatus, Ttl, process_use};
use mlxm_store::now_ms;

use crate::gateway::Snapshot;
use crate::gateway::events::logs::line_text;
use crate::gateway::workers::load_settings;
use crate::wire::pool::ServerSize;
use crate::wire::profiles;
use crate::wire::servers::{Server, ServerFailure, ServerMetrics, ServerState};

/// Servers with the names of the profiles that they serve, and what their processes use.
pub fn servers(snapshot: &Snapshot, servers: &[ServerStatus]) -> Vec<Server> {
    let profiles = profiles_by_settings(snapshot);
    servers
        .iter()
        .map(|server| {
            let names = profiles.get(&server.record.settings);
            to_wire(server, names.cloned().unwrap_or_default())
        })
        .collect()
}

/// A profile belongs to the server with its model and load settings.
fn profiles_by_settings(snapshot: &Snapshot) -> BTreeMap<LoadSettings, Vec<String>> {
    let mut names: BTreeMap<LoadSettings, Vec<String>> = BTreeMap::new();
    for profile in &snapshot.profiles {
        if let Ok(settings) = load_settings(snapshot, &profile.config.model, Some(profile)) {
            names
                .entry(settings)
                .or_default()
                .push(profile.config.name.clone());
        }
    }
    names
}

fn to_wire(server: &ServerStatus, profiles: Vec<String>) -> Server {
    let record = &server.record;
    let pid = record.process.as_ref().map(|process| process.pid);
    Server {
        id: record.id,
        name: record.name.clone(),
        path: text(&record.settings.model),
        profiles,
        state: record.state.into(),
        detail: record.detail.clone(),
        pid,
        port: record.port,
        version: record.version.clone(),
        capabilities: record.capabilities.clone(),
        size: record.size.into(),
        settings: settings(&record.settings),
        ttl_seconds: ttl_seconds(record.ttl),
        pinned: server.pinned,
        running: server.running as u64,
        started_at_ms: milliseconds(record.started_at_ms),
        last_used_at_ms: server.last_used_at_ms.map(milliseconds),
        restarts: record.restarts,
        metrics: pid.and_then(process_use).map(|used| ServerMetrics {
            at_ms: now_ms(),
            resident_bytes: Some(used.resident_bytes),
            ..ServerMetrics::default()
        }),
        failure: server.failure.clone().map(|failure| ServerFailure {
            code: failure.code,
            message: failure.message,
            advice: failure.advice,
            log_tail: failure
                .log_tail
                .iter()
                .map(|line| line_text(line))
                .collect(),
        }),
    }
}

fn milliseconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// -1 for a server that is kept.
fn ttl_seconds(ttl: Ttl) -> i64 {
    match ttl {
        Ttl::Keep => -1,
        Ttl::After(time) => i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
    }
}

/// The settings of a worker that profiles have, too.
fn settings(settings: &LoadSettings) -> profiles::LoadSettings {
    profiles::LoadSettings {
        context_length: settings.context_length,
        max_sequences: Some(settings.max_sequences),
        kv_pool_tokens: settings.kv_pool_tokens,
        max_batch_tokens: settings.max_batch_tokens,
        kv_cache_dtype: settings.kv_cache_dtype.clone(),
        activation_dtype: settings.activation_dtype.clone(),
        device: settings.device.clone(),
        tool_call_parser: settings.tool_call_parser.clone(),
        reasoning_parser: settings.reasoning_parser.clone(),
        ..profiles::LoadSettings::default()
    }
}

impl From<CacheSize> for ServerSize {
    fn from(size: CacheSize) -> Self {
        Self {
            context_length: size.context_length,
            kv_pool_tokens: size.kv_pool_tokens,
            plan_bytes: size.plan_bytes,
        }
    }
}

impl From<mlxm_gateway::ServerState> for ServerState {
    fn from(state: mlxm_gateway::ServerState) -> Self {
        match state {
            mlxm_gateway::ServerState::Starting => Self::Starting,
            mlxm_gateway::ServerState::Ready => Self::Ready,
            mlxm_gateway::ServerState::Unhealthy => Self::Unhealthy,
            mlxm_gateway::ServerState::Restarting => Self::Restarting,
            mlxm_gateway::ServerState::Failed => Self::Failed,
            mlxm_gateway::ServerState::Stopping => Self::Stopping,
            mlxm_gateway::ServerState::Stopped => Self::Stopped,
            mlxm_gateway::ServerState::Orphaned => Self::Orphaned,
        }
    }
}

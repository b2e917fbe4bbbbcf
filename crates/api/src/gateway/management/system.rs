//! `/api/system`: the machine and the gateway.

use std::time::UNIX_EPOCH;

use axum::Json;
use axum::extract::State;
use axum::routing::{MethodRouter, get};
use mlxm_gateway::{host_name, process_use};
use mlxm_machine::{CpuLimits, MemoryLimits, instruction_sets};
use mlxm_store::Location;
use sysinfo::{CpuRefreshKind, RefreshKind, System};

use super::doctor;
use crate::gateway::problem::{ApiProblem, Code};
use crate::gateway::{GatewayOptions, GatewayState};
use crate::wire::system::{Doctor, MemoryLimit, ServerMemory, SystemInfo, SystemMemory};

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/system/info", get(info)),
        ("/api/system/memory", get(memory)),
        ("/api/system/doctor", get(diagnose)),
    ]
}

/// Runs what reads files outside the async threads.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiProblem> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| ApiProblem::new(Code::INTERNAL, error.to_string()))
}

/// Describes the machine and the gateway.
#[utoipa::path(
    get,
    path = "/api/system/info",
    tag = "system",
    operation_id = "get_system_info",
    responses((status = 200, body = SystemInfo))
)]
pub async fn info(State(state): State<GatewayState>) -> Result<Json<SystemInfo>, ApiProblem> {
    blocking(move || describe(&state)).await.map(Json)
}

fn describe(state: &GatewayState) -> SystemInfo {
    let kinds = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let system = System::new_with_specifics(kinds);
    let chip = system
        .cpus()
        .first()
        .map(|cpu| cpu.brand().trim().to_owned());
    let cpus = CpuLimits::read();
    let started = state
        .started_at()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    SystemInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        gateway_id: state.id(),
        pid: std::process::id(),
        started_at_ms: i64::try_from(started.as_millis()).unwrap_or(i64::MAX),
        address: state.address().to_string(),
        database: database(state.options()),
        host: host_name(),
        os: std::env::consts::OS.to_owned(),
        os_version: System::long_os_version(),
        architecture: std::env::consts::ARCH.to_owned(),
        chip: chip.filter(|chip| !chip.is_empty()),
        cpus: cpus.hardware_threads as u64,
        usable_cpus: usable_cpus(&cpus),
        instruction_sets: instruction_sets().into_iter().map(str::to_owned).collect(),
        devices: vec!["cpu".to_owned()],
        memory_bytes: MemoryLimits::read().physical_bytes(),
    }
}

/// Hardware threads, under the quota of the control group.
fn usable_cpus(cpus: &CpuLimits) -> f64 {
    let threads = cpus.hardware_threads as f64;
    cpus.quota()
        .map_or(threads, |quota| quota.cpus.min(threads))
}

/// Without credentials.
fn database(options: &GatewayOptions) -> String {
    let location = Location::new(options.database_url.as_deref(), &options.home);
    location.map_or_else(|error| error.to_string(), |location| location.to_string())
}

/// Describes the memory of the machine, and who uses it.
#[utoipa::path(
    get,
    path = "/api/system/memory",
    tag = "system",
    operation_id = "get_system_memory",
    responses((status = 200, body = SystemMemory))
)]
pub async fn memory(State(state): State<GatewayState>) -> Result<Json<SystemMemory>, ApiProblem> {
    read_memory(&state).await.map(Json)
}

/// The memory of the machine, and who uses it.
///
/// # Errors
/// If the pool has exited.
pub async fn read_memory(state: &GatewayState) -> Result<SystemMemory, ApiProblem> {
    let status = state.pool().servers().await?;
    blocking(move || {
        let limits = MemoryLimits::read();
        let resident = |pid: u32| process_use(pid).map(|used| used.resident_bytes);
        let servers = status.servers.iter().map(|server| ServerMemory {
            id: server.record.id,
            name: server.record.name.clone(),
            plan_bytes: server.record.size.plan_bytes,
            resident_bytes: server
                .record
                .process
                .as_ref()
                .and_then(|process| resident(process.pid)),
            running: server.running as u64,
            pinned: server.pinned,
        });
        SystemMemory {
            budget_bytes: status.budget_bytes,
            used_bytes: status.used_bytes,
            available_bytes: limits.available_bytes(),
            gateway_resident_bytes: resident(std::process::id()),
            servers: servers.collect(),
            limits: limits.limits().iter().map(limit).collect(),
        }
    })
    .await
}

fn limit(limit: &mlxm_machine::MemoryLimit) -> MemoryLimit {
    MemoryLimit {
        name: limit.name.clone(),
        bytes: limit.bytes,
        available_bytes: limit.available_bytes,
        source: limit.source.clone(),
    }
}

/// Checks the machine and the configuration.
#[utoipa::path(
    get,
    path = "/api/system/doctor",
    tag = "system",
    operation_id = "run_doctor",
    responses((status = 200, body = Doctor))
)]
pub async fn diagnose(State(state): State<GatewayState>) -> Result<Json<Doctor>, ApiProblem> {
    let memory = read_memory(&state).await?;
    let mut checks = vec![doctor::memory(&memory)];
    checks.push(doctor::database(&state).await);
    checks.extend(doctor::servers(&state).await?);
    checks.extend(doctor::profile_ports(&state));
    let snapshot = state.snapshot();
    let hub = state.hub().clone();
    checks.extend(blocking(move || doctor::files(hub.config(), &snapshot)).await?);
    Ok(Json(doctor::summary(checks)))
}

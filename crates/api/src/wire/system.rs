//! The machine and the gateway.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The machine and this gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SystemInfo {
    /// Version of mlxm.
    pub version: String,
    /// Id of this gateway, the same after a restart.
    pub gateway_id: Uuid,
    /// Process id of the gateway.
    pub pid: u32,
    /// Start of the gateway.
    pub started_at_ms: i64,
    /// The address that the gateway listens on.
    pub address: String,
    /// The database: path of the file, or host and name without credentials.
    pub database: String,
    /// Name of the machine.
    pub host: String,
    /// `linux` or `macos`.
    pub os: String,
    /// Version of the OS.
    pub os_version: Option<String>,
    /// `aarch64` or `x86_64`.
    pub architecture: String,
    /// Name of the CPU or chip.
    pub chip: Option<String>,
    /// Logical CPUs.
    pub cpus: u64,
    /// CPUs that may be used, under all limits; a container may have less than one.
    pub usable_cpus: f64,
    /// SIMD extensions of the CPU.
    pub instruction_sets: Vec<String>,
    /// Devices that models can be loaded on.
    pub devices: Vec<String>,
    /// Physical memory.
    pub memory_bytes: Option<u64>,
}

/// A limit for the memory of the gateway and its servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoryLimit {
    /// What is limited.
    pub name: String,
    /// The limit.
    pub bytes: u64,
    /// What is left of it. Page cache does not count as used.
    pub available_bytes: Option<u64>,
    /// The file or system call that it was read from.
    pub source: String,
}

/// The memory of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerMemory {
    /// The server.
    pub id: Uuid,
    /// Name of its model.
    pub name: String,
    /// Its memory plan, which counts against the budget.
    pub plan_bytes: u64,
    /// Resident memory of its process.
    pub resident_bytes: Option<u64>,
    /// Its running requests.
    pub running: u64,
    /// Whether it is never evicted.
    pub pinned: bool,
}

/// What memory there is, and who uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SystemMemory {
    /// Memory for all servers together.
    pub budget_bytes: u64,
    /// Memory plans of all servers whose process exists.
    pub used_bytes: u64,
    /// What is left of the memory under all limits, whoever uses the rest.
    pub available_bytes: Option<u64>,
    /// Resident memory of the gateway.
    pub gateway_resident_bytes: Option<u64>,
    /// Limits: physical memory first, then control groups, then the address space.
    pub limits: Vec<MemoryLimit>,
    /// The servers, in the order of their starts.
    pub servers: Vec<ServerMemory>,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Nothing to do.
    Ok,
    /// It works, but not as well as it could.
    Warning,
    /// It does not work.
    Failed,
}

/// A check of the machine or of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Stable name, such as `disk_space`.
    pub name: String,
    /// The result.
    pub status: CheckStatus,
    /// What was found.
    pub finding: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Doctor {
    /// No check failed.
    pub healthy: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

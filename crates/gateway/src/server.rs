//! Worker processes as others see them: records to store, states, and events.

use std::future::Future;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::process::ExitCause;
use crate::settings::{CacheSize, LoadSettings, Ttl};

/// State of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// The model is loading.
    Starting,
    /// Requests are accepted.
    Ready,
    /// It does not respond.
    Unhealthy,
    /// The process has exited; it is started again after a delay.
    Restarting,
    /// The process has exited, and is not started again by itself. After a crash a request starts it; after several, only a user does.
    Failed,
    /// It completes its requests and exits.
    Stopping,
    /// It has exited as requested.
    Stopped,
    /// It was left running by a gateway that exited, which the next gateway adopts.
    Orphaned,
}

/// Identifies a process, also after the reuse of its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id, which is also that of its process group.
    pub pid: u32,
    /// When it was started, in seconds since 1970, as the OS reports it.
    pub start_time_s: u64,
    /// Its program, as the OS reports it.
    pub program: PathBuf,
}

/// A worker, as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Id of the worker, from which its key is derived.
    pub id: Uuid,
    /// Name of the model.
    pub name: String,
    /// What it was started with.
    pub settings: LoadSettings,
    /// Size of its cache, and its memory plan.
    pub size: CacheSize,
    /// How long it is kept when idle.
    pub ttl: Ttl,
    /// Port on the loopback interface, once it is ready.
    pub port: Option<u16>,
    /// Version of its program, once it is ready.
    pub version: Option<String>,
    /// What the model can do, as in `/v1/models`, once it is ready.
    #[serde(default)]
    pub capabilities: Value,
    /// The process, once it is started.
    pub process: Option<ProcessIdentity>,
    /// Its state.
    pub state: ServerState,
    /// Why it is in this state, if that is not obvious.
    pub detail: Option<String>,
    /// When it was started, in UTC milliseconds since 1970.
    pub started_at_ms: u64,
    /// Unexpected exits of workers with these settings within the last minutes.
    pub restarts: u32,
}

/// Why a worker is no longer running although it was not stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFailure {
    /// Stable code: that of the worker's `failed` line, `crash_loop`, `spawn_failed`, or the kind of the exit.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub advice: String,
    /// The last lines of its log.
    pub log_tail: Vec<String>,
}

/// A change of a worker. Slow receivers lose the oldest events and read [`Pool::servers`](crate::Pool::servers) instead.
#[derive(Debug, Clone)]
pub enum ServerEvent {
    /// The state or another field changed.
    Changed(Box<ServerRecord>),
    /// Progress of loading.
    Loading {
        /// The worker.
        id: Uuid,
        /// Bytes of weights that are loaded.
        loaded_bytes: u64,
        /// Bytes of all weights.
        total_bytes: u64,
    },
    /// The number of running requests changed.
    Leases {
        /// The worker.
        id: Uuid,
        /// Running requests.
        running: usize,
    },
    /// The process has exited.
    Exited {
        /// The worker.
        id: Uuid,
        /// Why.
        cause: ExitCause,
        /// The last lines of its log.
        log_tail: Vec<String>,
    },
}

/// An error of a store. The pool logs it and continues: workers run without a database.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps the records of running workers, so that the next gateway can adopt them.
pub trait ServerStore: Send + Sync + 'static {
    /// All records of this gateway.
    fn list(&self) -> impl Future<Output = Result<Vec<ServerRecord>, StoreError>> + Send;

    /// Adds or replaces a record.
    fn save(&self, record: &ServerRecord) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes a record, if there is one.
    fn remove(&self, id: Uuid) -> impl Future<Output = Result<(), StoreError>> + Send;
}

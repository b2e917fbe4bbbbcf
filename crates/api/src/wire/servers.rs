//! Servers: the processes that have models in memory.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::pool::{PoolPlan, ServerSize};
use super::profiles::LoadSettings;

/// State of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
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
    /// It was left running by a gateway that exited.
    Orphaned,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Server {
    /// Its id.
    pub id: Uuid,
    /// Name of its model.
    pub name: String,
    /// Directory of its model.
    pub path: String,
    /// Names of the profiles that it serves: those with this model and these load settings.
    pub profiles: Vec<String>,
    /// Its state.
    pub state: ServerState,
    /// Why it is in this state, if that is not obvious.
    pub detail: Option<String>,
    /// Process id.
    pub pid: Option<u32>,
    /// Port on the loopback interface, once it is ready.
    pub port: Option<u16>,
    /// Version of its program, once it is ready.
    pub version: Option<String>,
    /// What the model can do, as in `/v1/models`, once it is ready.
    pub capabilities: Value,
    /// Size of its cache, and its memory plan.
    pub size: ServerSize,
    /// What it was started with.
    pub settings: LoadSettings,
    /// Seconds without requests after which it stops: 0 at once, -1 never.
    pub ttl_seconds: i64,
    /// Whether it is never evicted.
    pub pinned: bool,
    /// Its running requests.
    pub running: u64,
    /// Start time.
    pub started_at_ms: i64,
    /// When its last request started or ended; null if this gateway sent it none.
    pub last_used_at_ms: Option<i64>,
    /// Unexpected exits of servers with these settings within the last minutes.
    pub restarts: u32,
    /// What it uses; null if it was not measured yet.
    pub metrics: Option<ServerMetrics>,
    /// Why it failed; null if its process exists.
    pub failure: Option<ServerFailure>,
}

/// Why a server crashed or could not be started. It is listed until it is started again or stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerFailure {
    /// Stable code, such as `crash_loop`, `killed_externally` or that of an invalid checkpoint.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub advice: String,
    /// The last lines of its log, as text.
    pub log_tail: Vec<String>,
}

/// What a server uses and does, measured once a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerMetrics {
    /// Time of the measurement.
    pub at_ms: i64,
    /// Resident memory of the process.
    pub resident_bytes: Option<u64>,
    /// CPU time per time: 100 is one core.
    pub cpu_percent: Option<f64>,
    /// GPU time per time: 100 is the whole GPU.
    pub gpu_percent: Option<f64>,
    /// Generated tokens per second.
    pub tokens_per_second: Option<f64>,
    /// Mean time from arrival to the first token, in milliseconds, of the completions that had it since the last measurement;
    /// null if there were none.
    pub time_to_first_token_ms: Option<f64>,
    /// Requests since its start.
    pub requests_total: Option<u64>,
    /// Tokens of prompts since its start.
    pub prompt_tokens_total: Option<u64>,
    /// Of these, tokens that were in the prefix cache.
    pub cached_tokens_total: Option<u64>,
    /// Generated tokens since its start.
    pub completion_tokens_total: Option<u64>,
    /// Requests that hold blocks of its KV cache.
    pub running: Option<u64>,
    /// Requests in its own queue.
    pub waiting: Option<u64>,
    /// Used part of the KV cache, from 0 to 1.
    pub kv_cache_usage: Option<f64>,
    /// Blocks of the KV cache that requests use, of all groups of layers.
    pub kv_blocks_used: Option<u64>,
    /// All blocks of the KV cache.
    pub kv_blocks_total: Option<u64>,
}

/// How far back measurements reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum MetricsRange {
    /// 15 minutes, as they were measured: every second while someone watches, else every 10 seconds.
    #[default]
    #[serde(rename = "15m")]
    Minutes15,
    /// 24 hours, in minutes.
    #[serde(rename = "24h")]
    Hours24,
}

/// Which measurements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MetricsQuery {
    /// `15m` if absent.
    #[param(inline)]
    pub range: MetricsRange,
}

/// What a server has used and done, also those that had its model with the same settings before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricsHistory {
    /// The server.
    pub server: Uuid,
    /// How far back they reach.
    pub range: MetricsRange,
    /// The measurements, oldest first. Those of `24h` have the start of a minute as their time: they are means, and totals at its
    /// end. Without measurements there is a gap.
    pub samples: Vec<ServerMetrics>,
}

/// All servers: those whose process exists in the order of their starts, then those that failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerList {
    /// The servers.
    pub servers: Vec<Server>,
}

/// A model to load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StartRequest {
    /// Name of a profile. Either this or `model` is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Name of a local model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Settings in place of those of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<LoadSettings>,
    /// Seconds without requests after which it stops: 0 at once, -1 never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
    /// Keeps it in memory whatever else needs its memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<bool>,
    /// Returns what would happen and starts nothing.
    pub dry_run: bool,
}

/// What a start did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StartResponse {
    /// What was planned when the request arrived.
    pub plan: PoolPlan,
    /// The server that was started or is running already; null after a dry run, and while it waits for memory.
    pub server: Option<Server>,
}

/// How to stop a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StopOptions {
    /// Stops it also if it has running requests. Without it, a busy server is not stopped, and the response is 409.
    #[serde(default)]
    pub now: bool,
}

/// Whether a server is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// Never evicted, does not expire, and started again after a crash.
    pub pinned: bool,
}

//! The memory budget: what is loaded, and what a start would do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::profiles::LoadSettings;
use super::servers::Server;

/// The pool as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolStatus {
    /// Memory for all servers together.
    pub budget_bytes: u64,
    /// Memory plans of all servers whose process exists.
    pub used_bytes: u64,
    /// Requests that wait for memory or for a busy server.
    pub waiting: u64,
    /// The servers, and those that failed.
    pub servers: Vec<Server>,
}

/// A start to simulate: a model or a profile, and settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolPlanRequest {
    /// Name of a profile. Either this or `model` is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Name of a local model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Settings in place of those of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<LoadSettings>,
}

/// What a start would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanOutcome {
    /// A server has the model in memory already.
    Ready,
    /// It fits in free memory.
    Fits,
    /// It fits after idle servers have been evicted.
    Evicts,
    /// It waits for busy or starting servers.
    Waits,
    /// It is rejected.
    Rejected,
}

/// What a start would do, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolPlan {
    /// Name of the model.
    pub model: String,
    /// What would happen.
    pub outcome: PlanOutcome,
    /// Size of the cache and memory plan; null if it is not known before others have finished, or it does not fit.
    pub size: Option<ServerSize>,
    /// The memory plan by purpose; null if `size` is null.
    pub memory: Option<MemoryPurposes>,
    /// The servers that would be evicted, or that are waited for, or that hold the memory.
    pub holders: Vec<MemoryHolder>,
    /// Memory for all servers together.
    pub budget_bytes: u64,
    /// Memory plans of all servers whose process exists.
    pub used_bytes: u64,
    /// Stable code of a rejection, such as `model_does_not_fit`.
    pub code: Option<String>,
    /// One sentence for people.
    pub message: String,
    /// The longest context that would fit in the whole budget, in tokens, if the model does not fit.
    pub largest_context: Option<u64>,
}

/// The size of a server's cache, and its memory plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerSize {
    /// Context length in tokens.
    pub context_length: u64,
    /// KV cache size in tokens, shared by all sequences.
    pub kv_pool_tokens: u64,
    /// Weights, KV cache and scratch together.
    pub plan_bytes: u64,
}

/// A memory plan by purpose. The sum is `plan_bytes`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoryPurposes {
    /// The weights.
    pub weights_bytes: u64,
    /// The KV cache of all sequences.
    pub kv_pool_bytes: u64,
    /// Activations and fixed overhead.
    pub scratch_bytes: u64,
}

/// A server that holds memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemoryHolder {
    /// The server, if its process is known.
    pub id: Option<Uuid>,
    /// Name of its model.
    pub name: String,
    /// Its memory plan.
    pub plan_bytes: u64,
    /// Its running requests.
    pub running: u64,
}

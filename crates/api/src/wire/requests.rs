//! Inference requests that have not ended, without their content.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a request is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// It waits in the gateway: for the model to load, or for a place on the server.
    Waiting,
    /// It waits in the queue of the server.
    Queued,
    /// Its prompt is being computed.
    Prefill,
    /// Tokens are being generated.
    Decode,
    /// The server has it, and says no more about it.
    Running,
}

/// A request that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveRequest {
    /// Its id in this gateway, with which it is cancelled. A later request has a greater one.
    pub id: Uuid,
    /// Its `x-request-id`, which a client can choose.
    pub request_id: String,
    /// The method, such as `POST`.
    pub method: String,
    /// Route, such as `/v1/chat/completions`.
    pub endpoint: String,
    /// The model that the client named; null if it named none.
    pub requested: Option<String>,
    /// Name of the model that it is for.
    pub model: String,
    /// The profile that it is for, if it named one.
    pub profile: Option<String>,
    /// The program of the client, as its `user-agent` header names it.
    pub client: Option<String>,
    /// Time of its arrival.
    pub started_at_ms: i64,
    /// What it is doing.
    pub state: RequestState,
    /// Tokens of the prompt; null before the server has counted them.
    pub prompt_tokens: Option<u64>,
    /// Of these, tokens that were in the prefix cache.
    pub cached_tokens: Option<u64>,
    /// Of the prompt, tokens that are in the KV cache, those of the prefix cache included.
    pub computed_tokens: Option<u64>,
    /// Tokens generated so far.
    pub completion_tokens: Option<u64>,
}

/// The requests of a server that have not ended, in the order of their arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerRequests {
    /// The server.
    pub server: Uuid,
    /// The requests that it has, and those that wait for it.
    pub requests: Vec<LiveRequest>,
}

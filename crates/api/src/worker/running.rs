//! Requests that have not ended, as a gateway lists them.

use serde::{Deserialize, Serialize};

/// What a running request is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestPhase {
    /// No step has computed a part of it.
    Queued,
    /// Its prompt is being computed.
    Prefill,
    /// It has a first token.
    Decode,
}

/// A request with a completion that has not ended. Counts are those of all its completions; prompts count once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningRequest {
    /// The id that the gateway has sent with it.
    pub id: String,
    /// What it is doing.
    pub phase: RequestPhase,
    /// Tokens of all prompts.
    pub prompt_tokens: usize,
    /// Prompt tokens found in the prefix cache, as far as they were looked up.
    pub cached_tokens: usize,
    /// Prompt tokens in the KV cache, those from the prefix cache included.
    pub computed_tokens: usize,
    /// Tokens generated so far.
    pub completion_tokens: usize,
}

/// All requests of the owner that are running or queued.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningRequests {
    /// The requests, in no particular order.
    pub requests: Vec<RunningRequest>,
}

//! The audit log: one row per inference request, with exact token counts and never with content.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A request that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRow {
    /// Its id in the log.
    pub id: Uuid,
    /// The gateway that handled it.
    pub gateway_id: Uuid,
    /// Its `x-request-id`.
    pub request_id: String,
    /// Time of its arrival.
    pub at_ms: i64,
    /// Route, such as `/v1/chat/completions`.
    pub endpoint: String,
    /// The model that the client named.
    pub model: String,
    /// `local`, or the name of a provider; null if it was rejected before.
    pub served_by: Option<String>,
    /// HTTP status; 499 if the client disconnected, or a user cancelled the request.
    pub status: u16,
    /// Stable code of the error.
    pub error_kind: Option<String>,
    /// Why the generation ended, such as `stop`.
    pub finish_reason: Option<String>,
    /// Tokens of the prompt; null if nothing was computed.
    pub prompt_tokens: Option<u64>,
    /// Of these, tokens that were in the prefix cache.
    pub cached_tokens: Option<u64>,
    /// Generated tokens.
    pub completion_tokens: Option<u64>,
    /// Milliseconds in queues.
    pub queue_ms: Option<u64>,
    /// Milliseconds from arrival to the first token.
    pub time_to_first_token_ms: Option<u64>,
    /// Milliseconds from arrival to the end of the response.
    pub duration_ms: u64,
}

/// Which rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    /// Rows at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// Rows before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// Rows of this model, by its exact name in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Rows of this route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Rows with a status of at least this: 400 for all errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_status: Option<u16>,
    /// Rows older than the one with this id, the last of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Uuid>,
    /// Maximum number of rows: 100 if absent, at most 1,000. Exports have no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Format of an export: CSV if absent. Only exports have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub format: Option<ExportFormat>,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// Comma-separated values with a header line (RFC 4180).
    #[default]
    Csv,
    /// A JSON object per line.
    Jsonl,
}

/// A page of rows, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// The rows.
    pub rows: Vec<AuditRow>,
    /// `after` of the next page; null on the last.
    pub next: Option<Uuid>,
}

/// Sums over the rows of a filter, whose `after` and `limit` do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditTotals {
    /// Requests.
    pub requests: u64,
    /// Of these, with a status of 400 or more.
    pub errors: u64,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Of these, tokens that were in the prefix cache.
    pub cached_tokens: u64,
    /// Generated tokens.
    pub completion_tokens: u64,
    /// Milliseconds from arrival to the end of the response, of all requests together.
    pub duration_ms: u64,
}

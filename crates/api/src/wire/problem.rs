//! Errors: `application/problem+json` (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The content type of a `Problem`.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request failed, and what to do next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:mlxm:error:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The problem in general, the same for every occurrence.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What is wrong in this case.
    pub detail: String,
    /// Stable name of the problem, such as `profile_name_taken`.
    pub code: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The `x-request-id` of the request, which is also in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The fields that are invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// An invalid field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Its path in the body or query, such as `load.context_length`.
    pub field: String,
    /// Stable name of what is wrong, such as `out_of_range`.
    pub code: String,
    /// What is wrong and what is accepted.
    pub message: String,
}

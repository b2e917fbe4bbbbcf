//! Client errors.

use mlxm_api::wire::Problem;
use serde_json::Value;

use super::problem;

/// Maximum characters of a non-JSON error body to show.
const MAX_BODY_CHARACTERS: usize = 300;

/// An error of a request to a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The URL is invalid.
    #[error("--url {url}: {reason}; expected a URL such as http://127.0.0.1:8080")]
    InvalidUrl {
        /// The given URL.
        url: String,
        /// Why it is invalid.
        reason: String,
    },
    /// The key cannot be sent.
    #[error("the API key contains characters that are not allowed in a header")]
    InvalidKey,
    /// The connection failed.
    #[error(
        "cannot connect to {url} ({reason}): start a server with `mlxm serve --model MODEL --port PORT`, or check the URL"
    )]
    Unreachable {
        /// The server.
        url: String,
        /// The network error.
        reason: String,
    },
    /// The response status is not success.
    #[error("the server returned an error ({status}): {message}{}", hint(*status, retry_after.as_deref()))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The message in the response.
        message: String,
        /// The `Retry-After` header: seconds or a date.
        retry_after: Option<String>,
    },
    /// The gateway rejected the request.
    #[error("{}", problem::describe(.0))]
    Problem(Box<Problem>),
    /// The server reported an error in the stream.
    #[error("the server failed while streaming: {0}")]
    Failed(String),
    /// The connection closed early.
    #[error("the response was truncated: {0}")]
    Truncated(String),
    /// The response does not follow the protocol.
    #[error(
        "the server at {url} did not return {expected}: is it an OpenAI-compatible server? ({reason})"
    )]
    Malformed {
        /// The server.
        url: String,
        /// The expected response.
        expected: &'static str,
        /// Why the response is invalid.
        reason: String,
    },
    /// A response of the gateway that this version does not know.
    #[error(
        "the gateway at {url} sent a response that this version of mlxm does not know ({reason}): use the same version for both"
    )]
    UnexpectedResponse {
        /// The gateway.
        url: String,
        /// What differs.
        reason: String,
    },
    /// The server lists no model.
    #[error("the server at {0} has no models")]
    NoModel(String),
    /// A model name is required.
    #[error("the server at {url} has {} models; specify one: {}", .models.len(), .models.join(", "))]
    SeveralModels {
        /// The server.
        url: String,
        /// The model names.
        models: Vec<String>,
    },
    /// The server does not list its models.
    #[error("the server at {0} does not list its models: specify the model name")]
    UnknownModels(String),
}

impl RemoteError {
    /// An error response with this status and body.
    pub fn from_response(status: u16, retry_after: Option<String>, body: &str) -> Self {
        let json = serde_json::from_str::<Value>(body).ok();
        if let Some(problem) = json.as_ref().and_then(problem::parse) {
            return Self::Problem(Box::new(problem));
        }
        let message = json
            .and_then(|body| message(&body))
            .unwrap_or_else(|| excerpt(body));
        Self::Status {
            status,
            message,
            retry_after,
        }
    }
}

/// A hint for common statuses.
fn hint(status: u16, retry_after: Option<&str>) -> String {
    match (status, retry_after) {
        (401 | 403, _) => "; set the API key with --api-key or MLXM_API_KEY".to_owned(),
        (429 | 503, Some(seconds)) if seconds.parse::<u64>().is_ok() => {
            format!("; retry after {seconds} s")
        }
        (429 | 503, Some(date)) => format!("; retry after {date}"),
        _ => String::new(),
    }
}

/// The message in the body of an error response, in any of the common formats.
pub fn message(body: &Value) -> Option<String> {
    let error = &body["error"];
    [&error["message"], error, &body["message"], &body["detail"]]
        .into_iter()
        .find_map(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Array(_) => Some(value.to_string()),
            _ => None,
        })
}

fn excerpt(body: &str) -> String {
    let body = body.trim();
    if body.is_empty() {
        return "no error message".to_owned();
    }
    let mut characters = body.chars();
    let shown: String = characters.by_ref().take(MAX_BODY_CHARACTERS).collect();
    if characters.next().is_some() {
        shown + " …"
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(status: u16, retry_after: Option<&str>, body: &str) -> String {
        RemoteError::from_response(status, retry_after.map(str::to_owned), body).to_string()
    }

    #[test]
    fn error_responses_show_the_servers_message() {
        let openai =
            r#"{"error": {"message": "temperature is -1", "type": "invalid_request_error"}}"#;
        assert_eq!(
            shown(400, None, openai),
            "the server returned an error (400): temperature is -1"
        );
        for body in [
            r#"{"error": "no slot"}"#,
            r#"{"message": "no slot"}"#,
            r#"{"detail": "no slot"}"#,
            "no slot\n",
        ] {
            assert!(shown(500, None, body).ends_with(": no slot"), "{body}");
        }
        assert!(shown(502, None, " ").ends_with("no error message"));
        assert!(shown(502, None, &"ü".repeat(1000)).chars().count() < 400);
    }

    #[test]
    fn error_responses_have_hints() {
        assert!(shown(401, None, "no").contains("MLXM_API_KEY"));
        assert!(shown(503, Some("7"), "busy").ends_with("; retry after 7 s"));
        assert!(shown(429, Some("Fri, 20 Nov 2026"), "busy").ends_with("after Fri, 20 Nov 2026"));
        assert!(shown(400, Some("7"), "busy").ends_with(": busy"));
    }
}

//! What goes wrong between this program and a server.

use serde_json::Value;

/// Bodies of errors that are no JSON are shown up to this many characters.
const MOST_CHARACTERS: usize = 300;

/// Why a server did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The address makes no sense.
    #[error("--url {url}: {reason}; write it as http://127.0.0.1:8080")]
    InvalidUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key cannot be sent.
    #[error("the API key has characters that cannot be sent in a header")]
    InvalidKey,
    /// Nobody answers at the address.
    #[error(
        "no server answers at {url} ({reason}): start one with `mlxm serve --model MODEL --port PORT`, or check the address"
    )]
    Unreachable {
        /// The server.
        url: String,
        /// What the network says.
        reason: String,
    },
    /// The server answered with another status than success.
    #[error("the server refused the request ({status}): {message}{}", advice(*status, retry_after.as_deref()))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// In the server's words.
        message: String,
        /// When to try again, in seconds or as a date.
        retry_after: Option<String>,
    },
    /// The server failed in the middle of an answer.
    #[error("the server failed while it answered: {0}")]
    Failed(String),
    /// The connection ended before the answer did.
    #[error("the answer was cut off: {0}")]
    Cut(String),
    /// What came is not what the protocol says.
    #[error(
        "the server at {url} sent something else than {expected}: is it an OpenAI-compatible server? ({reason})"
    )]
    Malformed {
        /// The server.
        url: String,
        /// What should have come.
        expected: &'static str,
        /// What is wrong with what came.
        reason: String,
    },
    /// No model can be asked.
    #[error("the server at {0} has no model")]
    NoModel(String),
    /// It is not clear which model is meant.
    #[error("the server at {url} has {} models; name one: {}", .models.len(), .models.join(", "))]
    SeveralModels {
        /// The server.
        url: String,
        /// Their names.
        models: Vec<String>,
    },
    /// The server does not list its models.
    #[error("the server at {0} does not list its models: name the one to ask")]
    UnknownModels(String),
}

impl RemoteError {
    /// A refusal with that status and body.
    pub fn refused(status: u16, retry_after: Option<String>, body: &str) -> Self {
        let message = serde_json::from_str::<Value>(body)
            .ok()
            .and_then(|body| message(&body))
            .unwrap_or_else(|| beginning(body));
        Self::Refused {
            status,
            message,
            retry_after,
        }
    }
}

/// What to do about a refusal, where that is clear.
fn advice(status: u16, retry_after: Option<&str>) -> String {
    match (status, retry_after) {
        (401 | 403, _) => "; the key goes into --api-key or MLXM_API_KEY".to_owned(),
        (429 | 503, Some(seconds)) if seconds.parse::<u64>().is_ok() => {
            format!("; try again in {seconds} s")
        }
        (429 | 503, Some(date)) => format!("; try again after {date}"),
        _ => String::new(),
    }
}

/// The message in the body of an error, in any of the shapes in use.
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

fn beginning(body: &str) -> String {
    let body = body.trim();
    if body.is_empty() {
        return "without saying why".to_owned();
    }
    let mut characters = body.chars();
    let shown: String = characters.by_ref().take(MOST_CHARACTERS).collect();
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
        RemoteError::refused(status, retry_after.map(str::to_owned), body).to_string()
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let openai =
            r#"{"error": {"message": "temperature is -1", "type": "invalid_request_error"}}"#;
        assert_eq!(
            shown(400, None, openai),
            "the server refused the request (400): temperature is -1"
        );
        for body in [
            r#"{"error": "no slot"}"#,
            r#"{"message": "no slot"}"#,
            r#"{"detail": "no slot"}"#,
            "no slot\n",
        ] {
            assert!(shown(500, None, body).ends_with(": no slot"), "{body}");
        }
        assert!(shown(502, None, " ").ends_with("without saying why"));
        assert!(shown(502, None, &"ü".repeat(1000)).chars().count() < 400);
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        assert!(shown(401, None, "no").contains("MLXM_API_KEY"));
        assert!(shown(503, Some("7"), "busy").ends_with("; try again in 7 s"));
        assert!(shown(429, Some("Fri, 20 Nov 2026"), "busy").ends_with("after Fri, 20 Nov 2026"));
        assert!(shown(400, Some("7"), "busy").ends_with(": busy"));
    }
}

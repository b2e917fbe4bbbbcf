//! How each API ends a stream with an error.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::error::Protocol;
use crate::openai::shared::{new_id, now};
use crate::sse::Message;
use crate::stream_errors;

/// The format of a stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// Chat completions, and completions.
    Completions,
    Messages,
    Responses,
}

impl StreamFormat {
    /// The format of streams of the route at `path`, if it has any.
    pub fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix("/v1").unwrap_or(path) {
            "/chat/completions" | "/completions" => Self::Completions,
            "/messages" => Self::Messages,
            "/responses" => Self::Responses,
            _ => return None,
        })
    }

    /// The protocol that the route belongs to.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Messages => Protocol::Anthropic,
            Self::Completions | Self::Responses => Protocol::OpenAi,
        }
    }

    /// The events that end a stream with the error whose body in the protocol's format is `body`. `response` is the id of the
    /// response, if it has been sent; `sequence_number` that of the next event.
    pub fn error(self, body: Value, response: Option<&str>, sequence_number: u64) -> Vec<Bytes> {
        let messages = match self {
            Self::Completions => Vec::from(stream_errors::completions(body)),
            Self::Messages => vec![stream_errors::messages(body)],
            Self::Responses => {
                let id = response.map_or_else(|| new_id("resp_"), str::to_owned);
                let response =
                    json!({"id": id, "object": "response", "created_at": now(), "output": []});
                let failed = stream_errors::failed_response(response, &body);
                let error = stream_errors::response_error(&body);
                vec![
                    stream_errors::response_event("error", sequence_number, error),
                    stream_errors::response_event(
                        "response.failed",
                        sequence_number + 1,
                        json!({"response": failed}),
                    ),
                ]
            }
        };
        messages.iter().map(Message::to_bytes).collect()
    }
}

//! Server-sent events.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use futures_util::StreamExt as _;
use serde_json::Value;

use crate::state::Limits;

/// An event of a stream.
#[derive(Debug, PartialEq)]
pub enum Message {
    /// Data without an event name, as in OpenAI's chat completions.
    Data(Value),
    /// Data of a named event.
    Named(&'static str, Value),
    /// `[DONE]`, the end of OpenAI's streams.
    Done,
}

impl Message {
    /// The event as it is sent.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::from(match self {
            Self::Data(value) => format!("data: {}\n\n", line(value)),
            Self::Named(name, value) => format!("event: {name}\ndata: {}\n\n", line(value)),
            Self::Done => "data: [DONE]\n\n".to_owned(),
        })
    }
}

/// JSON in one line. Some clients split lines also at the separators that JSON allows in strings, so these are escaped.
fn line(value: &Value) -> String {
    let json = value.to_string();
    if !json.contains(['\u{85}', '\u{2028}', '\u{2029}']) {
        return json;
    }
    json.replace('\u{85}', "\\u0085")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// A response that sends `messages`, and comments while there are none.
pub fn response(
    limits: &Limits,
    messages: impl Stream<Item = Message> + Send + 'static,
) -> Response {
    let events = messages.map(|message| {
        Ok::<_, Infallible>(match message {
            Message::Data(value) => Event::default().data(line(&value)),
            Message::Named(name, value) => Event::default().event(name).data(line(&value)),
            Message::Done => Event::default().data("[DONE]"),
        })
    });
    let keepalive = KeepAlive::new()
        .interval(limits.keepalive)
        .text("keepalive");
    without_buffering(Sse::new(events).keep_alive(keepalive).into_response())
}

/// A response that sends the events in `body`, written with [`Message::to_bytes`] or by another server.
pub fn raw_response(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, mime()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    without_buffering((headers, body).into_response())
}

/// The content type of a stream of events.
pub fn mime() -> HeaderValue {
    HeaderValue::from_static("text/event-stream")
}

/// Tells proxies not to buffer the stream.
fn without_buffering(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn bytes_of_a_message_are_those_in_a_response() {
        let messages = || {
            [
                Message::Data(json!({"text": "two\nlines"})),
                Message::Named("error", json!({"a": "x\u{2028}y"})),
                Message::Done,
            ]
        };
        let response = response(&Limits::default(), stream::iter(messages()));
        let sent = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        let bytes: Vec<u8> = messages().iter().flat_map(Message::to_bytes).collect();
        assert_eq!(sent.unwrap(), bytes);
    }

    #[test]
    fn data_has_no_character_at_which_a_client_may_split_lines() {
        let text: String = (0..0x2100).filter_map(char::from_u32).collect();
        let data = json!({"text": text});
        for message in [
            Message::Data(data.clone()),
            Message::Named("delta", data.clone()),
        ] {
            let bytes = message.to_bytes();
            let sent = std::str::from_utf8(&bytes).unwrap();
            let json = sent.split_once("data: ").unwrap().1.trim_end_matches('\n');
            let separators = ['\u{85}', '\u{2028}', '\u{2029}'];
            assert!(!json.contains(|c: char| c < ' ' || separators.contains(&c)));
            assert_eq!(serde_json::from_str::<Value>(json).unwrap(), data);
        }
    }
}

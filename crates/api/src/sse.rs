//! Server-sent events.

use std::convert::Infallible;

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

/// A response that sends `messages`, and comments while there are none.
pub fn response(
    limits: &Limits,
    messages: impl Stream<Item = Message> + Send + 'static,
) -> Response {
    let events = messages.map(|message| {
        Ok::<_, Infallible>(match message {
            Message::Data(value) => Event::default().data(value.to_string()),
            Message::Named(name, value) => Event::default().event(name).data(value.to_string()),
            Message::Done => Event::default().data("[DONE]"),
        })
    });
    let keepalive = KeepAlive::new()
        .interval(limits.keepalive)
        .text("keepalive");
    let mut response = Sse::new(events).keep_alive(keepalive).into_response();
    // Tells proxies not to buffer the stream.
    response.headers_mut().insert(
        "x-accel-buffering",
        axum::http::HeaderValue::from_static("no"),
    );
    response
}

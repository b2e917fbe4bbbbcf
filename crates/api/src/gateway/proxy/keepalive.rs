//! Streams that begin before their worker is ready.
//!
//! Clients and proxies give up on a connection that stays silent while a large model loads. So after a while the client gets the
//! head of the response, and then comments until the worker's events follow. What fails after that can no longer be a status; it
//! becomes the error event of the protocol.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::{StatusCode, response::Parts};
use axum::response::Response;
use futures_core::future::BoxFuture;
use hyper::body::Frame;
use serde_json::Value;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tracing::Instrument as _;

use super::exchange::served_locally;
use super::forwarded::{ForwardedBody, is_event_stream};
use super::stream_format::StreamFormat;
use crate::error::ApiError;
use crate::sse;

/// Longest error of a worker.
const MAX_ERROR_BYTES: usize = 64 << 10;

const COMMENT: Bytes = Bytes::from_static(b": keepalive\n\n");

/// The head and body of a worker's response, as soon as there is a worker.
pub type Pending = BoxFuture<'static, Result<(Parts, ForwardedBody), ApiError>>;

/// A stream with a comment in each `interval` until `pending` is there.
pub fn response(format: StreamFormat, pending: Pending, interval: Duration) -> Response {
    let mut interval = interval_at(Instant::now() + interval, interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let body = WaitingBody {
        format,
        state: State::Waiting(Box::pin(events_of(format, pending).in_current_span())),
        interval,
    };
    served_locally(sse::raw_response(Body::new(body)))
}

/// The worker's stream; else the body of the error.
async fn events_of(format: StreamFormat, pending: Pending) -> Result<ForwardedBody, Value> {
    let render = |error: &ApiError| error.body_in(format.protocol());
    let (parts, body) = pending.await.map_err(|error| render(&error))?;
    if parts.status == StatusCode::OK && is_event_stream(&parts) {
        return Ok(body);
    }
    let body = to_bytes(Body::new(body), MAX_ERROR_BYTES).await;
    let error = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok());
    let error = error.filter(|error: &Value| error["error"].is_object());
    Err(error.unwrap_or_else(|| {
        let message = format!(
            "the model's worker returned the status {} without a stream",
            parts.status
        );
        render(&ApiError::with_code(
            StatusCode::BAD_GATEWAY,
            "worker_failed",
            message,
        ))
    }))
}

struct WaitingBody {
    format: StreamFormat,
    state: State,
    interval: Interval,
}

enum State {
    Waiting(BoxFuture<'static, Result<ForwardedBody, Value>>),
    Streaming(Box<ForwardedBody>),
    Failed(VecDeque<Bytes>),
}

impl HttpBody for WaitingBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            this.state = match &mut this.state {
                State::Waiting(pending) => match pending.as_mut().poll(context) {
                    Poll::Ready(Ok(body)) => State::Streaming(Box::new(body)),
                    Poll::Ready(Err(error)) => {
                        State::Failed(this.format.error(error, None, 0).into())
                    }
                    Poll::Pending => {
                        ready!(this.interval.poll_tick(context));
                        return Poll::Ready(Some(Ok(Frame::data(COMMENT))));
                    }
                },
                State::Streaming(body) => return Pin::new(body).poll_frame(context),
                State::Failed(events) => {
                    return Poll::Ready(events.pop_front().map(|event| Ok(Frame::data(event))));
                }
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Waiting(_) => false,
            State::Streaming(body) => body.is_end_stream(),
            State::Failed(events) => events.is_empty(),
        }
    }
}

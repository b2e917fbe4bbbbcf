//! The body of a worker's response on its way to the client.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::{Bytes, HttpBody};
use axum::http::response::Parts;
use axum::http::{StatusCode, header};
use futures_core::future::BoxFuture;
use hyper::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use tracing::Span;

use super::client::WorkerError;
use super::events::Events;
use super::ids::{IdSearch, ResponseWorkers};
use super::in_flight::InFlight;
use super::live::{CANCELLED, Cancellation};
use super::stream_format::StreamFormat;
use super::usage::read_usage;
use super::workers::AcquireError;
use crate::error::ApiError;
use crate::sse;
use crate::worker::RequestUsage;

/// The worker's side of a response: what a cancellation ends at once, also while the client does not read.
struct Upstream {
    /// `None` once it has ended.
    body: Option<Incoming>,
    in_flight: InFlight,
}

impl Upstream {
    /// Closes the connection to the worker, which ends the generation.
    fn cancel(&mut self) {
        self.body = None;
        self.in_flight.cancel(Some(CANCELLED));
    }
}

fn lock(upstream: &Mutex<Upstream>) -> MutexGuard<'_, Upstream> {
    // Every change of it is complete before anything can panic.
    upstream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes the chunks on as the client takes them, and notes the usage at the end. Dropping it cancels the generation.
pub struct ForwardedBody {
    upstream: Arc<Mutex<Upstream>>,
    /// Only what is `ready` follows.
    has_ended: bool,
    status: StatusCode,
    usage: Option<RequestUsage>,
    /// For a stream of events.
    events: Option<(StreamFormat, Events)>,
    /// For a response that the worker may store.
    search: Option<(IdSearch, Arc<ResponseWorkers>)>,
    ready: VecDeque<Bytes>,
    /// The span of the request.
    span: Span,
    /// Ready when a user cancels the request. Not polled after that.
    cancelled: BoxFuture<'static, ()>,
}

impl ForwardedBody {
    /// Splits a response; called in the span of its request. `format` is that of the route's streams; `workers` learns the ids of
    /// responses.
    pub fn new(
        response: Response<Incoming>,
        in_flight: InFlight,
        format: Option<StreamFormat>,
        workers: &Arc<ResponseWorkers>,
        cancellation: Cancellation,
    ) -> (Parts, Self) {
        let (parts, body) = response.into_parts();
        let events = format
            .filter(|_| is_event_stream(&parts))
            .map(|format| (format, Events::default()));
        let creates_response = format == Some(StreamFormat::Responses) && parts.status.is_success();
        let upstream = Arc::new(Mutex::new(Upstream {
            body: Some(body),
            in_flight,
        }));
        let weak = Arc::downgrade(&upstream);
        lock(&upstream).in_flight.on_cancel(move || {
            if let Some(upstream) = weak.upgrade() {
                lock(&upstream).cancel();
            }
        });
        let mut body = Self {
            upstream,
            has_ended: false,
            status: parts.status,
            usage: read_usage(&parts.headers),
            events,
            search: creates_response.then(|| (IdSearch::default(), workers.clone())),
            ready: VecDeque::new(),
            span: Span::current(),
            cancelled: Box::pin(cancellation.cancelled()),
        };
        body.end_if_complete();
        (parts, body)
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(chunk) => {
                self.note_response(&chunk);
                match &mut self.events {
                    Some((_, events)) => events.push(chunk, &mut self.ready),
                    None => self.ready.push_back(chunk),
                }
                self.end_if_complete();
            }
            Err(frame) => {
                let trailers = frame.into_trailers();
                self.usage = trailers.ok().as_ref().and_then(read_usage);
            }
        }
    }

    fn note_response(&mut self, chunk: &[u8]) {
        if let Some((search, workers)) = &mut self.search
            && let Some(id) = search.push(chunk)
            && let Some(lease) = lock(&self.upstream).in_flight.lease()
        {
            workers.insert(id.to_owned(), lease.worker.clone());
        }
    }

    /// A client that knows the length of the body does not wait for more, so its end must be noticed with its last chunk.
    fn end_if_complete(&mut self) {
        let body_has_ended = lock(&self.upstream)
            .body
            .as_ref()
            .is_some_and(HttpBody::is_end_stream);
        if body_has_ended {
            self.end();
        }
    }

    fn end(&mut self) {
        self.has_ended = true;
        if let Some((_, events)) = &mut self.events {
            events.end(&mut self.ready);
        }
        let usage = self.usage.take();
        let mut upstream = lock(&self.upstream);
        upstream.body = None;
        upstream.in_flight.finish(self.status.as_u16(), None, usage);
    }

    /// Ends the response of a cancelled request.
    fn cancel(&mut self) -> Result<(), BoxError> {
        let error = ApiError::from(AcquireError::cancelled());
        self.has_ended = true;
        lock(&self.upstream).cancel();
        if self.end_events(&error) {
            Ok(())
        } else {
            Err(error.into())
        }
    }

    /// Ends a stream with the error events of its protocol. Returns false for other bodies, which can only be cut off.
    fn end_events(&mut self, error: &ApiError) -> bool {
        let Some((format, events)) = &mut self.events else {
            return false;
        };
        let response = self.search.as_ref().and_then(|(search, _)| search.id());
        let body = error.body_in(format.protocol());
        let last = format.error(body, response, events.next_sequence_number());
        events.end_with(last, &mut self.ready);
        true
    }

    /// Ends the response of a worker that has exited.
    fn fail(&mut self, error: hyper::Error) -> Result<(), BoxError> {
        let failure = ApiError::from(WorkerError::Exited);
        self.span
            .in_scope(|| tracing::warn!(%error, "a worker exited during a response"));
        self.has_ended = true;
        {
            let mut upstream = lock(&self.upstream);
            upstream.body = None;
            upstream
                .in_flight
                .finish(failure.status().as_u16(), failure.code(), None);
        }
        if self.end_events(&failure) {
            Ok(())
        } else {
            Err(error.into())
        }
    }
}

impl HttpBody for ForwardedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if let Some(chunk) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            if this.has_ended {
                return Poll::Ready(None);
            }
            let polled = if this.cancelled.as_mut().poll(context).is_ready() {
                None
            } else {
                let mut upstream = lock(&this.upstream);
                let body = upstream.body.as_mut();
                body.map(|body| Pin::new(body).poll_frame(context))
            };
            // A cancellation may have ended the worker's side since.
            let Some(polled) = polled else {
                if let Err(error) = this.cancel() {
                    return Poll::Ready(Some(Err(error)));
                }
                continue;
            };
            match ready!(polled) {
                Some(Ok(frame)) => this.take(frame),
                Some(Err(error)) => {
                    if let Err(error) = this.fail(error) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                None => this.end(),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.events, &lock(&self.upstream).body) {
            (None, Some(body)) => body.size_hint(),
            // Ended before anything was read, so that it is empty.
            (None, None) if self.has_ended && self.ready.is_empty() => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}

/// Whether the body is a stream of events to which others can be added.
pub fn is_event_stream(parts: &Parts) -> bool {
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let is_stream =
        content_type.is_some_and(|value| value.as_bytes().starts_with(sse::mime().as_bytes()));
    is_stream && !parts.headers.contains_key(header::CONTENT_LENGTH)
}

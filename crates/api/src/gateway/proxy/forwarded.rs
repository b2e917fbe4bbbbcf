//! The body of a worker's response on its way to the client.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::{Bytes, HttpBody};
use axum::http::response::Parts;
use axum::http::{StatusCode, header};
use hyper::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use tracing::Span;

use super::client::WorkerError;
use super::events::Events;
use super::ids::{IdSearch, ResponseWorkers};
use super::in_flight::InFlight;
use super::stream_format::StreamFormat;
use super::usage::read_usage;
use crate::error::ApiError;
use crate::sse;
use crate::worker::RequestUsage;

/// Passes the chunks on as the client takes them, and notes the usage at the end. Dropping it cancels the generation.
pub struct ForwardedBody {
    /// `None` once it has ended.
    upstream: Option<Incoming>,
    status: StatusCode,
    usage: Option<RequestUsage>,
    in_flight: InFlight,
    /// For a stream of events.
    events: Option<(StreamFormat, Events)>,
    /// For a response that the worker may store.
    search: Option<(IdSearch, Arc<ResponseWorkers>)>,
    ready: VecDeque<Bytes>,
    /// The span of the request.
    span: Span,
}

impl ForwardedBody {
    /// Splits a response; called in the span of its request. `format` is that of the route's streams; `workers` learns the ids of
    /// responses.
    pub fn new(
        response: Response<Incoming>,
        in_flight: InFlight,
        format: Option<StreamFormat>,
        workers: &Arc<ResponseWorkers>,
    ) -> (Parts, Self) {
        let (parts, upstream) = response.into_parts();
        let events = format
            .filter(|_| is_event_stream(&parts))
            .map(|format| (format, Events::default()));
        let creates_response = format == Some(StreamFormat::Responses) && parts.status.is_success();
        let mut body = Self {
            status: parts.status,
            usage: read_usage(&parts.headers),
            events,
            search: creates_response.then(|| (IdSearch::default(), workers.clone())),
            upstream: Some(upstream),
            in_flight,
            ready: VecDeque::new(),
            span: Span::current(),
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
            && let Some(lease) = self.in_flight.lease()
        {
            workers.insert(id.to_owned(), lease.worker.clone());
        }
    }

    /// A client that knows the length of the body does not wait for more, so its end must be noticed with its last chunk.
    fn end_if_complete(&mut self) {
        if self.upstream.as_ref().is_some_and(HttpBody::is_end_stream) {
            self.end();
        }
    }

    fn end(&mut self) {
        self.upstream = None;
        if let Some((_, events)) = &mut self.events {
            events.end(&mut self.ready);
        }
        self.in_flight
            .finish(self.status.as_u16(), None, self.usage.take());
    }

    /// Ends a stream with the error events of its protocol. Other bodies are cut off, as the worker's was.
    fn fail(&mut self, error: hyper::Error) -> Result<(), BoxError> {
        let failure = ApiError::from(WorkerError::Exited);
        self.span
            .in_scope(|| tracing::warn!(%error, "a worker exited during a response"));
        self.upstream = None;
        self.in_flight
            .finish(failure.status().as_u16(), failure.code(), None);
        let Some((format, events)) = &mut self.events else {
            return Err(error.into());
        };
        let response = self.search.as_ref().and_then(|(search, _)| search.id());
        let body = failure.body_in(format.protocol());
        let last = format.error(body, response, events.next_sequence_number());
        events.end_with(last, &mut self.ready);
        Ok(())
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
            let Some(upstream) = &mut this.upstream else {
                return Poll::Ready(None);
            };
            match ready!(Pin::new(upstream).poll_frame(context)) {
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
        self.upstream.is_none() && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.events, &self.upstream) {
            (None, Some(upstream)) => upstream.size_hint(),
            // Ended before anything was read, so that it is empty.
            (None, None) if self.ready.is_empty() => SizeHint::with_exact(0),
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

//! The span of a request, in the log and in traces. Without an OpenTelemetry exporter the attributes cost nothing.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tower_http::request_id::RequestId;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::error::ApiError;

/// Which responses are logged at level info.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestLog {
    /// All.
    All,
    /// All but those that a gateway requests every few seconds and for each change, which are logged at level debug.
    WithoutPolling,
}

impl RequestLog {
    fn is_quiet(self, route: &str) -> bool {
        let is_polled = matches!(route, "/health" | "/metrics") || route.starts_with("/internal/");
        self == Self::WithoutPolling && is_polled
    }
}

/// The pattern of the request's route.
pub fn route(request: &Request) -> &str {
    let path = request.extensions().get::<MatchedPath>();
    path.map_or("unknown", MatchedPath::as_str)
}

/// Opens the span of a request and logs its response. The span is open until the body has ended, but it is not entered for each
/// chunk, which would cost more than passing a token on.
pub async fn log_request(State(log): State<RequestLog>, request: Request, next: Next) -> Response {
    let received_at = Instant::now();
    let is_quiet = log.is_quiet(route(&request));
    let span = request_span(&request);
    let response = next.run(request).instrument(span.clone()).await;
    record_response(&span, &response, received_at.elapsed(), is_quiet);
    response.map(|body| {
        Body::new(SpannedBody {
            body,
            span,
            received_at,
        })
    })
}

/// A body that keeps the span of its request open.
struct SpannedBody {
    body: Body,
    span: Span,
    received_at: Instant,
}

impl HttpBody for SpannedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for SpannedBody {
    fn drop(&mut self) {
        let duration_ms = self.received_at.elapsed().as_millis() as u64;
        // Exporters end a span when it is exited last.
        self.span
            .in_scope(|| tracing::debug!(duration_ms, "response ended"));
    }
}

/// The span of `request`: a child of the client's span, if the client sent a trace context.
fn request_span(request: &Request) -> Span {
    let headers = request.headers();
    let id = request.extensions().get::<RequestId>();
    let span = tracing::info_span!(
        "request",
        id = id.and_then(|id| id.header_value().to_str().ok()),
        method = %request.method(),
        path = request.uri().path(),
        traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok()),
        otel.kind = "server",
    );
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    // Fails if no exporter collects traces; there is no parent to set then.
    let _ = span.set_parent(parent);
    let (method, route) = (request.method().as_str(), route(request));
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
    span.context()
        .span()
        .update_name(format!("{method} {route}"));
    span
}

/// Records the status in the span and logs it, with the reason if the request was rejected. A streamed response has only begun
/// by then.
fn record_response(span: &Span, response: &Response, latency: Duration, is_quiet: bool) {
    let status = response.status();
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(Status::error(status.to_string()));
    }
    let duration_ms = latency.as_millis() as u64;
    let status = status.as_u16();
    span.in_scope(|| {
        if let Some(error) = response.extensions().get::<ApiError>() {
            let param = error.param();
            tracing::warn!(status, duration_ms, param, %error, "request rejected");
        } else if is_quiet {
            tracing::debug!(status, duration_ms, "response sent");
        } else {
            tracing::info!(status, duration_ms, "response sent");
        }
    });
}

/// Makes the span of the server that gets these headers a child of `span`. Without an exporter they stay as the client sent them.
pub fn inject(span: &Span, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&span.context(), &mut HeadersMut(headers));
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value))
        else {
            return;
        };
        // There is an empty `tracestate` if the client sent none.
        if !value.is_empty() {
            self.0.insert(name, value);
        }
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

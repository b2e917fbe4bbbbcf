//! OpenTelemetry attributes of request spans. Without an exporter, they are dropped.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Sets the parent of `span` from the `traceparent` header, if any, and the attributes of the request.
pub fn start_span(span: &Span, route: &str, request: &Request) {
    let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
    // Fails if there is no exporter.
    let _ = span.set_parent(parent);
    let method = request.method().as_str();
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
    let context = span.context();
    context.span().update_name(format!("{method} {route}"));
}

/// Sets the attributes of the response.
pub fn record_response(span: &Span, status: StatusCode) {
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_status(Status::error(status.to_string()));
    }
}

/// Reads propagation headers.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

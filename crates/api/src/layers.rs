//! What happens around every route: request ids, arrival times, logs, counts, and keys.

use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use subtle::ConstantTimeEq as _;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::error::{ApiError, Protocol};
use crate::state::AppState;
use crate::trace;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// When a request arrived.
#[derive(Debug, Clone, Copy)]
pub struct RequestStart(pub Instant);

/// The protocol of a path.
pub fn protocol_of(path: &str) -> Protocol {
    if path.starts_with("/v1/messages") {
        Protocol::Anthropic
    } else {
        Protocol::OpenAi
    }
}

/// Puts the layers around all routes.
pub fn with_layers(router: Router<AppState>, server: &AppState) -> Router<AppState> {
    router.layer(middleware::from_fn_with_state(
        server.clone(),
        record_request,
    ))
}

/// Gives a request its id, and writes down what became of it.
async fn record_request(
    State(server): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let received_at = Instant::now();
    let id = request_id(&request);
    request.extensions_mut().insert(RequestStart(received_at));
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unknown", MatchedPath::as_str)
        .to_owned();
    let traceparent = request
        .headers()
        .get("traceparent")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path(),
        traceparent,
        otel.kind = "server",
    );
    trace::start_span(&span, &route, &request);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    server.metrics().record_response(&route, status.as_u16());
    let duration_ms = received_at.elapsed().as_millis() as u64;
    trace::record_response(&span, status);
    span.in_scope(|| tracing::info!(status = status.as_u16(), duration_ms, "answered"));
    response.headers_mut().insert(REQUEST_ID.clone(), id);
    response
}

/// The client's own id, if it can be shown in logs, else a new one.
fn request_id(request: &Request) -> HeaderValue {
    let given = request.headers().get(&REQUEST_ID);
    let printable = |value: &&HeaderValue| {
        value.len() <= 128 && value.as_bytes().iter().all(u8::is_ascii_graphic) && !value.is_empty()
    };
    given
        .filter(printable)
        .cloned()
        .or_else(|| HeaderValue::try_from(format!("req_{}", Uuid::new_v4().simple())).ok())
        .unwrap_or_else(|| HeaderValue::from_static("req_unknown"))
}

/// Lets only those in who have the key, where there is one.
pub async fn authorize(State(server): State<AppState>, request: Request, next: Next) -> Response {
    let allowed = match &server.options().api_key {
        None => true,
        Some(key) => {
            given_key(&request).is_some_and(|given| given.as_bytes().ct_eq(key.as_bytes()).into())
        }
    };
    if allowed {
        return next.run(request).await;
    }
    ApiError::unauthorized().response_in(protocol_of(request.uri().path()))
}

fn given_key(request: &Request) -> Option<&str> {
    let headers = request.headers();
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.split_once(' '));
    let bearer = bearer
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim());
    bearer.or_else(|| {
        headers
            .get("x-api-key")
            .and_then(|value| value.to_str().ok())
    })
}

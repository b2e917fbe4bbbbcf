//! Middleware of all routes: request ids, traces, metrics, panics, CORS and API keys.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::trace::TraceLayer;
use tracing::Span;
use uuid::Uuid;

use crate::cors;
use crate::error::{self, ApiError};
use crate::origin;
use crate::state::AppState;
use crate::trace;

/// The header of the request id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// When a request arrived.
#[derive(Debug, Clone, Copy)]
pub struct RequestStart(pub Instant);

/// Adds the layers to all routes, the outermost first.
pub fn with_layers(router: Router<AppState>, server: &AppState) -> Router<AppState> {
    let layers = ServiceBuilder::new()
        .map_request(remove_unusable_request_id)
        .layer(SetRequestIdLayer::new(REQUEST_ID, NewRequestId))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(trace::request_span)
                .on_request(())
                .on_response(|response: &Response, latency: Duration, span: &Span| {
                    trace::record_response(span, response, latency);
                })
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(middleware::from_fn_with_state(
            server.clone(),
            record_metrics,
        ))
        .layer(middleware::from_fn(cors::empty_preflight))
        .option_layer(cors::layer(&server.options().cors_origins))
        .layer(middleware::from_fn(error::render))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(
            server.clone(),
            origin::check,
        ));
    router.layer(layers)
}

/// Removes an id of the client that would not be readable in logs, so that the request gets a new one.
fn remove_unusable_request_id<B>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    let usable = |id: &HeaderValue| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    if request
        .headers()
        .get(REQUEST_ID)
        .is_some_and(|id| !usable(id))
    {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

#[derive(Clone, Copy)]
struct NewRequestId;

impl MakeRequestId for NewRequestId {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        let id = format!("req_{}", Uuid::new_v4().simple());
        HeaderValue::try_from(id).ok().map(RequestId::new)
    }
}

/// Notes the time of arrival, and counts the response.
async fn record_metrics(
    State(server): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let route = trace::route(&request).to_owned();
    request
        .extensions_mut()
        .insert(RequestStart(Instant::now()));
    let response = next.run(request).await;
    server
        .metrics()
        .record_response(&route, response.status().as_u16());
    response
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer passes it by value"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(panic = message, "a request handler panicked");
    ApiError::internal("internal error: see the server's log").into_response()
}

/// Requires the API key, if the server has one.
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
    ApiError::unauthorized().into_response()
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

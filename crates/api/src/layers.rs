//! Middleware of all routes: request ids, traces, metrics, usage, panics, CORS and API keys.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use mlxm_engine::Priority;
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
use crate::worker::{self, Profile, UsageRecorder, Worker, report_usage};

/// The header of the request id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known about a request apart from its body.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// When it arrived.
    pub received_at: Instant,
    /// Records its usage, if it comes from the owner of this server.
    pub usage: Option<Arc<UsageRecorder>>,
    /// Defaults for what it leaves out. Only the owner's requests have any.
    pub profile: Arc<Profile>,
    /// The priority that the owner gives it.
    class: Option<Priority>,
}

impl RequestContext {
    fn new(received_at: Instant) -> Self {
        Self {
            received_at,
            usage: None,
            profile: Arc::default(),
            class: None,
        }
    }

    /// The scheduling priority of a request that asks for `requested`. The owner's class counts, but a request may lower it.
    pub fn priority(&self, requested: Priority) -> Priority {
        match (self.class, requested) {
            (None, _) | (_, Priority::Low) => requested,
            (Some(class), _) => class,
        }
    }
}

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
        .layer(middleware::from_fn_with_state(server.clone(), report_usage))
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
        .insert(RequestContext::new(Instant::now()));
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

/// Requires the API key, if the server has one. If it also has an owner, reads the profile and the class of the request.
pub async fn authorize(
    State(server): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    if !has_key(&server, &request) {
        return ApiError::unauthorized().into_response();
    }
    if let Some(worker) = server.worker()
        && let Err(error) = read_owner_headers(worker, &mut request)
    {
        return error.into_response();
    }
    next.run(request).await
}

/// Whether a request has the API key. True if the server has none.
pub fn has_key(server: &AppState, request: &Request) -> bool {
    server.options().api_key.as_ref().is_none_or(|key| {
        given_key(request).is_some_and(|given| given.as_bytes().ct_eq(key.as_bytes()).into())
    })
}

fn read_owner_headers(worker: &Worker, request: &mut Request) -> Result<(), ApiError> {
    let profile = worker.profile(request.headers())?;
    let class = worker::priority(request.headers())?;
    if let Some(context) = request.extensions_mut().get_mut::<RequestContext>() {
        context.profile = profile;
        context.class = class;
    }
    Ok(())
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

//! Middleware of all routes: request ids, traces, metrics, usage, panics and CORS.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use mlxm_engine::Priority;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use uuid::Uuid;

use crate::cors::{self, CorsOrigin};
use crate::error::{self, ApiError};
use crate::origin;
use crate::state::AppState;
use crate::trace::{self, RequestLog};
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

/// Adds the layers of a model's server to all routes.
pub fn with_layers(router: Router<AppState>, server: &AppState) -> Router<AppState> {
    let policy = &server.options().access;
    let check = middleware::from_fn_with_state(Arc::new(policy.clone()), origin::check_without_key);
    let metrics = middleware::from_fn_with_state(server.clone(), record_metrics);
    let usage = middleware::from_fn_with_state(server.clone(), report_usage);
    let router = with_errors(router.layer(check), &policy.cors_origins);
    let router = router.layer(usage).layer(metrics);
    with_request_log(router, RequestLog::WithoutPolling)
}

/// Adds CORS, the rendering of errors in the protocol of the route, and a status for panics; the outermost first.
pub fn with_errors<S>(router: Router<S>, cors_origins: &[CorsOrigin]) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.layer(
        ServiceBuilder::new()
            .layer(middleware::from_fn(cors::empty_preflight))
            .option_layer(cors::layer(cors_origins))
            .layer(middleware::from_fn(error::render))
            .layer(CatchPanicLayer::custom(panicked)),
    )
}

/// Adds request ids, and the log and trace of each request; the outermost first.
pub fn with_request_log<S>(router: Router<S>, log: RequestLog) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.layer(
        ServiceBuilder::new()
            .map_request(remove_unusable_request_id)
            .layer(SetRequestIdLayer::new(REQUEST_ID, NewRequestId))
            .layer(middleware::from_fn_with_state(log, trace::log_request))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID)),
    )
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

/// Reads the profile and the class of a request of the owner.
pub async fn read_owner_headers(
    State(server): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(worker) = server.worker()
        && let Err(error) = add_owner_headers(worker, &mut request)
    {
        return error.into_response();
    }
    next.run(request).await
}

fn add_owner_headers(worker: &Worker, request: &mut Request) -> Result<(), ApiError> {
    let profile = worker.profile(request.headers())?;
    let class = worker::priority(request.headers())?;
    if let Some(context) = request.extensions_mut().get_mut::<RequestContext>() {
        context.profile = profile;
        context.class = class;
    }
    Ok(())
}

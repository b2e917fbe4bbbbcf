//! The table of routes of the gateway. All other paths are for the page; see `web`.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, any, get};

use super::layers::{check_host_and_origin, require_owner};
use super::proxy::{self, Proxy};
use super::state::GatewayState;
use super::{chats, clients, downloads, events, health, management, metrics, models, problem, web};
use crate::access::AccessPolicy;
use crate::error::ApiError;
use crate::layers::{with_errors, with_request_log};
use crate::routes::{routed, unknown_route};
use crate::trace::RequestLog;

/// Largest body of a request to the management API.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Routes about the gateway, which require no key.
fn public_routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/health", get(health::health)),
        ("/metrics", get(metrics::metrics)),
    ]
}

/// Routes of the management API, which only the owner may use.
pub fn api_routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    [
        management::routes(),
        models::routes(),
        downloads::routes(),
        chats::routes(),
        clients::routes(),
        events::routes(),
        events::logs::routes(),
    ]
    .concat()
}

/// All routes. Serve them with the addresses of clients ([`Router::into_make_service_with_connect_info`] with
/// `SocketAddr`).
pub fn router(gateway: &GatewayState, proxy: Proxy) -> Router {
    let access = gateway.access();
    let public =
        routed(public_routes()).layer(from_fn_with_state(access.clone(), check_host_and_origin));
    let public = with_errors(public, &access.cors_origins);
    let public = with_request_log(public, RequestLog::All);
    // Pages that may use models may not manage the gateway.
    let own_pages = Arc::new(AccessPolicy {
        cors_origins: Vec::new(),
        ..AccessPolicy::clone(access)
    });
    let unknown = routed(vec![
        ("/api", any(unknown_route)),
        ("/api/{*path}", any(unknown_route)),
    ]);
    let api = routed(api_routes())
        .merge(routed(management::documentation_routes()))
        .merge(unknown)
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(management::check_content_type))
        .layer(from_fn_with_state(own_pages.clone(), require_owner))
        .layer(from_fn_with_state(own_pages.clone(), check_host_and_origin));
    let api = with_errors(api, &[]).layer(from_fn(problem::render));
    let api = with_request_log(api, RequestLog::All);
    let routes = public
        .merge(api)
        .with_state(gateway.clone())
        .merge(proxy::router(proxy));
    web::with_page(routes, own_pages)
}

//! The table of routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::Uri;
use axum::routing::{MethodRouter, get, post};
use tower::util::MapRequest;

use crate::error::{ApiError, excerpt};
use crate::openai::{chat, completions, embeddings, models, tokens};
use crate::responses::{create, stored};
use crate::state::AppState;
use crate::{access, anthropic, health, layers, openapi, worker};

/// Routes of the APIs, which require the API key if the server has one.
fn api_routes() -> Vec<(&'static str, MethodRouter<AppState>)> {
    vec![
        ("/v1/chat/completions", post(chat::create)),
        ("/v1/completions", post(completions::create)),
        ("/v1/responses", post(create::create)),
        (
            "/v1/responses/{id}",
            get(stored::retrieve).delete(stored::delete),
        ),
        ("/v1/responses/{id}/input_items", get(stored::input_items)),
        ("/v1/responses/{id}/cancel", post(stored::cancel)),
        ("/v1/embeddings", post(embeddings::create)),
        ("/v1/messages", post(anthropic::messages::create)),
        (
            "/v1/messages/count_tokens",
            post(anthropic::messages::count_tokens),
        ),
        ("/v1/models", get(models::list)),
        ("/v1/models/{*id}", get(models::retrieve)),
        ("/tokenize", post(tokens::tokenize)),
        ("/detokenize", post(tokens::detokenize)),
        ("/apply-template", post(tokens::apply_template)),
    ]
}

/// Routes about the server, which require no key.
fn public_routes() -> Vec<(&'static str, MethodRouter<AppState>)> {
    vec![
        ("/health", get(health::health)),
        ("/metrics", get(health::metrics)),
        ("/openapi.json", get(openapi::describe)),
    ]
}

/// The paths of all routes.
#[cfg(test)]
pub fn paths() -> impl Iterator<Item = &'static str> {
    api_routes()
        .into_iter()
        .chain(public_routes())
        .map(|(path, _)| path)
}

/// A router with these routes.
pub fn routed<S>(routes: Vec<(&'static str, MethodRouter<S>)>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let add = |router: Router<S>, (path, methods)| router.route(path, methods);
    routes.into_iter().fold(Router::new(), add)
}

/// A router with these routes, and with those under `/v1` also without this prefix: some clients append a path such as
/// `/chat/completions` to a base URL that was entered without `/v1`.
pub fn routed_without_prefix<S>(routes: Vec<(&'static str, MethodRouter<S>)>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let without_prefix = routes.iter().filter_map(|(path, methods)| {
        let path = path.strip_prefix("/v1")?;
        Some((path, methods.clone()))
    });
    let without_prefix = routed(without_prefix.collect());
    routed(routes).merge(without_prefix)
}

/// All routes of one model's server.
pub fn router(server: AppState) -> Router {
    let limit = server.options().limits.body_bytes;
    let mut keyed = routed_without_prefix(api_routes());
    if server.worker().is_some() {
        let read_headers =
            axum::middleware::from_fn_with_state(server.clone(), layers::read_owner_headers);
        keyed = keyed.merge(routed(worker::routes())).layer(read_headers);
    }
    let keyed = keyed.layer(axum::middleware::from_fn_with_state(
        Arc::new(server.options().access.clone()),
        access::require_key,
    ));
    let router = routed(public_routes())
        .merge(keyed)
        .fallback(unknown_route)
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(limit));
    with_normal_paths(layers::with_layers(router, &server).with_state(server))
}

/// Serves requests whose path has repeated slashes or one at its end as if it had none: clients produce such paths when they
/// join a base URL and a path.
pub fn with_normal_paths(router: Router) -> Router {
    Router::new().fallback_service(MapRequest::new(router, normalize_path))
}

fn normalize_path(mut request: Request) -> Request {
    let path = request.uri().path();
    if !path.contains("//") && (path == "/" || !path.ends_with('/')) {
        return request;
    }
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut target = format!("/{}", segments.join("/"));
    if let Some(query) = request.uri().query() {
        target.push('?');
        target.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = target.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// The error of a path without a route.
pub async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is no route {}", excerpt(uri.path())))
}

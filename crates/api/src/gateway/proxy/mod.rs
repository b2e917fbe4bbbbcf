//! The reverse proxy: forwards the inference routes to the workers that have the models.
//!
//! [`router`] builds the routes from a [`Proxy`], which knows what requests can name (a [`Catalog`]), obtains workers from a pool
//! ([`Workers`]), and sends a [`RequestRecord`] of each request to a channel.
//!
//! # Map
//! - `handlers`, `exchange`: a request and its response, from the top: body, target, worker, forwarding. [`own_router`] has those
//!   of the gateway itself.
//! - `request_body`, `scan`, `text`, `ttl`: the body, and the few top-level keys that are read from it.
//! - `catalog`, `target`, `models`, `defaults`: names and what they stand for; request settings of profiles.
//! - `workers`, `client`, `in_flight`: the pool's interface, the HTTP client, and a request that a worker has.
//! - `live`: the requests that have not ended, and how a user cancels one.
//! - `forwarded`, `events`, `keepalive`, `stream_format`: the response, its error at the end, and streams that begin early.
//! - `headers`, `usage`, `ids`: what passes and what does not; usage and records; which worker has a stored response.
//!
//! # Invariants
//! - Bodies pass unchanged in both directions. What the gateway adds is in headers and trailers, which clients do not see.
//! - Memory per request is bounded by its body: responses are read from the worker only as fast as the client takes them.
//! - When a client disconnects or a user cancels the request, the worker's connection is closed, which cancels the generation.
//! - Each request has exactly one record, however it ends.

mod catalog;
mod client;
mod defaults;
mod events;
mod exchange;
mod forwarded;
mod handlers;
mod headers;
mod ids;
mod in_flight;
mod keepalive;
mod live;
mod models;
mod request_body;
mod scan;
mod stream_format;
mod target;
mod text;
mod ttl;
mod usage;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use tokio::sync::{mpsc, watch};

pub use catalog::{Alias, Capabilities, Catalog, InvalidAlias, LocalModel, ModelDetails, Profile};
pub use defaults::{DefaultsTooLarge, RequestDefaults};
pub use live::{CANCELLED, LiveRequest, LiveRequests};
pub use target::{Target, TargetError};
pub use ttl::KeepAlive;
pub use usage::{RequestRecord, USAGE};
pub use workers::{AcquireError, Class, Lease, WorkerId, Workers};

use super::layers::{check_host_and_origin, require_key_or_loopback};
use crate::access::AccessPolicy;
use crate::error::ApiError;
use crate::layers::{with_errors, with_request_log};
use crate::routes::{routed, routed_without_prefix, unknown_route};
use crate::trace::RequestLog;
use client::WorkerClient;
use defaults::RegisteredDefaults;
use ids::ResponseWorkers;

/// Options of the proxy.
#[derive(Debug, Clone)]
pub struct ProxyOptions {
    /// Who may use it.
    pub access: AccessPolicy,
    /// Size limit of a request's body in bytes.
    pub body_bytes: usize,
    /// Longest time without a part of a request's body, which may take ten times as long in all.
    pub body_pause: Duration,
    /// Time after which a request that waits for a worker is rejected.
    pub queue_timeout: Duration,
    /// Time after which a stream begins although no worker is ready.
    pub begin_stream_after: Duration,
    /// Interval of the comments in such a stream.
    pub keepalive: Duration,
}

impl Default for ProxyOptions {
    /// 32 MiB with pauses of 30 seconds, 5 minutes, 5 seconds and 10 seconds.
    fn default() -> Self {
        Self {
            access: AccessPolicy::default(),
            body_bytes: 32 << 20,
            body_pause: Duration::from_secs(30),
            queue_timeout: Duration::from_mins(5),
            begin_stream_after: Duration::from_secs(5),
            keepalive: Duration::from_secs(10),
        }
    }
}

/// The state of the proxy; clones share it.
#[derive(Clone)]
pub struct Proxy(Arc<Shared>);

struct Shared {
    options: ProxyOptions,
    catalog: watch::Receiver<Arc<Catalog>>,
    workers: Arc<dyn Workers>,
    audit: mpsc::Sender<RequestRecord>,
    requests: LiveRequests,
    client: WorkerClient,
    responses: Arc<ResponseWorkers>,
    registered: Arc<RegisteredDefaults>,
}

impl Proxy {
    /// A proxy for the models of `catalog`, with workers from a pool. A record of each request goes to `audit`; records that do
    /// not fit into the channel are dropped with a warning. Until a request has ended, it is among `requests`.
    pub fn new(
        options: ProxyOptions,
        catalog: watch::Receiver<Arc<Catalog>>,
        workers: Arc<dyn Workers>,
        audit: mpsc::Sender<RequestRecord>,
        requests: LiveRequests,
    ) -> Self {
        Self(Arc::new(Shared {
            options,
            catalog,
            workers,
            audit,
            requests,
            client: WorkerClient::default(),
            responses: Arc::default(),
            registered: Arc::default(),
        }))
    }

    fn options(&self) -> &ProxyOptions {
        &self.0.options
    }

    /// The names as of now.
    fn catalog(&self) -> Arc<Catalog> {
        self.0.catalog.borrow().clone()
    }

    fn workers(&self) -> &Arc<dyn Workers> {
        &self.0.workers
    }

    fn audit(&self) -> mpsc::Sender<RequestRecord> {
        self.0.audit.clone()
    }

    fn requests(&self) -> &LiveRequests {
        &self.0.requests
    }

    fn client(&self) -> &WorkerClient {
        &self.0.client
    }

    fn registered(&self) -> &Arc<RegisteredDefaults> {
        &self.0.registered
    }

    fn responses(&self) -> &Arc<ResponseWorkers> {
        &self.0.responses
    }
}

fn routes() -> Vec<(&'static str, MethodRouter<Proxy>)> {
    vec![
        ("/v1/chat/completions", post(handlers::by_model)),
        ("/v1/completions", post(handlers::by_model)),
        ("/v1/responses", post(handlers::by_model)),
        (
            "/v1/responses/{id}",
            get(handlers::by_response).delete(handlers::by_response),
        ),
        ("/v1/responses/{id}/input_items", get(handlers::by_response)),
        ("/v1/responses/{id}/cancel", post(handlers::by_response)),
        ("/v1/embeddings", post(handlers::by_model)),
        ("/v1/messages", post(handlers::by_model)),
        ("/v1/messages/count_tokens", post(handlers::by_model)),
        ("/v1/models", get(models::list)),
        ("/v1/models/{*id}", get(models::retrieve)),
        ("/tokenize", post(handlers::by_model)),
        ("/detokenize", post(handlers::by_model)),
        ("/apply-template", post(handlers::by_model)),
    ]
}

/// All routes of the proxy. Serve it with the addresses of clients ([`Router::into_make_service_with_connect_info`] with
/// `SocketAddr`): without an API key, requests from other addresses than those of loopback are rejected.
pub fn router(proxy: Proxy) -> Router {
    let access = Arc::new(proxy.options().access.clone());
    let router = routed_without_prefix(routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(from_fn_with_state(access.clone(), require_key_or_loopback))
        .layer(from_fn_with_state(access.clone(), check_host_and_origin));
    let router = with_errors(router, &access.cors_origins);
    with_request_log(router, RequestLog::All).with_state(proxy)
}

/// The routes for requests of the gateway itself, which need no key. Each request has the extension [`RequestDefaults`]: all its
/// settings. Errors are `ApiError`s in the extensions of responses.
pub fn own_router(proxy: Proxy) -> Router {
    let routes = vec![
        ("/v1/chat/completions", post(handlers::of_gateway)),
        ("/v1/messages", post(handlers::of_gateway)),
    ];
    with_request_log(routed(routes), RequestLog::All).with_state(proxy)
}

#[cfg(test)]
mod tests {
    use super::routes;

    #[test]
    fn every_route_of_a_worker_that_needs_its_key_is_forwarded() {
        let of_gateway: Vec<&str> = routes().into_iter().map(|(path, _)| path).collect();
        let mut of_worker: Vec<&str> = crate::routes::paths().collect();
        of_worker.retain(|path| !["/health", "/metrics", "/openapi.json"].contains(path));
        assert_eq!(of_gateway, of_worker);
    }
}

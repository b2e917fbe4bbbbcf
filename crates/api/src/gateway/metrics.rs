//! `GET /metrics`: the gateway's own metrics, and those of all workers with the labels `server` and `model`.

mod history;
mod merge;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::join_all;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mlxm_gateway::{PoolStatus, ServerState};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

pub use self::history::MetricsRings;
use self::merge::{Families, labels};
use super::proxy::RequestRecord;
use super::state::GatewayState;
use crate::error::ApiError;
use crate::metrics::RouteLabels;

/// Prefix of the gateway's own metrics.
const PREFIX: &str = "mlxm_gateway";

/// Longest wait for the metrics of a worker.
const WORKER_TIMEOUT: Duration = Duration::from_secs(2);

/// Largest metrics of a worker.
const MAX_WORKER_BYTES: usize = 4 << 20;

/// Counts requests of the inference routes; clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct RequestCounters {
    requests: Family<RouteLabels, Counter>,
    tokens: Family<[(&'static str, &'static str); 1], Counter>,
}

impl RequestCounters {
    /// Counts a request that has ended.
    pub fn record(&self, record: &RequestRecord) {
        let labels = RouteLabels {
            route: record.route.clone(),
            status: record.status,
        };
        self.requests.get_or_create(&labels).inc();
        if let Some(usage) = &record.usage {
            for (kind, tokens) in [
                ("prompt", usage.prompt_tokens),
                ("cached", usage.cached_tokens),
                ("completion", usage.completion_tokens),
            ] {
                let counter = self.tokens.get_or_create(&[("kind", kind)]);
                counter.inc_by(tokens as u64);
            }
        }
    }
}

/// Fetches the metrics of workers; clones share the connections.
#[derive(Debug, Clone)]
pub struct MetricsClient(Client<HttpConnector, Body>);

impl Default for MetricsClient {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build(HttpConnector::new()))
    }
}

impl MetricsClient {
    /// The metrics of the worker on this port; `None` if it does not respond.
    pub async fn fetch(&self, port: u16) -> Option<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let request = Request::get(format!("http://{address}/metrics")).body(Body::empty());
        let request = request.ok()?;
        let receive = async {
            let response = self.0.request(request).await.ok()?;
            let is_text = response.status() == StatusCode::OK;
            let body = to_bytes(Body::new(response.into_body()), MAX_WORKER_BYTES).await;
            String::from_utf8(body.ok()?.into())
                .ok()
                .filter(|_| is_text)
        };
        tokio::time::timeout(WORKER_TIMEOUT, receive).await.ok()?
    }
}

/// All metrics in the OpenMetrics text format.
pub async fn metrics(State(gateway): State<GatewayState>) -> Response {
    let status = gateway.pool().servers().await.ok();
    let Ok(own) = own_metrics(&gateway, status.as_ref()) else {
        return ApiError::internal("the metrics cannot be encoded").into_response();
    };
    let servers = status.map_or_else(Vec::new, |status| status.servers);
    let client = &gateway.monitor().metrics_client;
    let fetched = servers.iter().filter_map(|server| {
        let port = server.record.port?;
        if server.record.state != ServerState::Ready {
            return None;
        }
        Some(async move { Some((server, client.fetch(port).await?)) })
    });
    let mut families = Families::default();
    families.add(&own, "");
    for (server, text) in join_all(fetched).await.into_iter().flatten() {
        let id = server.record.id.to_string();
        let labels = labels(&[("server", &id), ("model", &server.record.name)]);
        families.add(&text, &labels);
    }
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], families.encode()).into_response()
}

/// The gateway's own metrics; those of the pool only while it runs.
fn own_metrics(
    gateway: &GatewayState,
    pool: Option<&PoolStatus>,
) -> Result<String, std::fmt::Error> {
    let monitor = gateway.monitor();
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register(
        "requests",
        "Requests of the inference routes that have ended, by route and status",
        monitor.counters.requests.clone(),
    );
    registry.register(
        "tokens",
        "Tokens of these requests, as the workers report them",
        monitor.counters.tokens.clone(),
    );
    registry.register(
        "audit_rows_lost",
        "Rows that could not be added to the audit log",
        ConstCounter::new(monitor.database.lost_rows()),
    );
    registry.register(
        "database_up",
        "1, or 0 if the last write to the database failed",
        ConstGauge::new(i64::from(!monitor.database.fails())),
    );
    if let Some(pool) = pool {
        register_pool(&mut registry, pool);
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn register_pool(registry: &mut Registry, pool: &PoolStatus) {
    for (name, help, value) in [
        (
            "memory_budget_bytes",
            "Memory for all models together",
            pool.budget_bytes,
        ),
        (
            "memory_planned_bytes",
            "Memory plans of all workers whose process exists",
            pool.used_bytes,
        ),
        (
            "waiting_requests",
            "Requests that wait for a worker",
            pool.waiting as u64,
        ),
    ] {
        registry.register(name, help, ConstGauge::new(value as i64));
    }
    let workers = Family::<[(&str, &str); 1], Gauge>::default();
    registry.register("workers", "Workers by state", workers.clone());
    for server in &pool.servers {
        let state = state_name(server.record.state);
        workers.get_or_create(&[("state", state)]).inc();
    }
}

fn state_name(state: ServerState) -> &'static str {
    match state {
        ServerState::Starting => "starting",
        ServerState::Ready => "ready",
        ServerState::Unhealthy => "unhealthy",
        ServerState::Restarting => "restarting",
        ServerState::Failed => "failed",
        ServerState::Stopping => "stopping",
        ServerState::Stopped => "stopped",
        ServerState::Orphaned => "orphaned",
    }
}

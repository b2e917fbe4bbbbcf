//! `GET /health`: whether the gateway serves requests, and whether its database does.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::state::GatewayState;

/// The status: `ready`, or `degraded` if the database fails, with 200, since models are served without it; `draining` with 503.
pub async fn health(State(gateway): State<GatewayState>) -> Response {
    let database_fails = gateway.monitor().database.fails();
    let pool = gateway.pool().servers().await.ok();
    let is_draining = gateway.monitor().workers.is_draining() || pool.is_none();
    let (code, status) = match (is_draining, database_fails) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, true) => (StatusCode::OK, "degraded"),
        (false, false) => (StatusCode::OK, "ready"),
    };
    let mut body = json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "database": if database_fails { "failing" } else { "ready" },
    });
    if let Some(pool) = pool {
        body["models"] = pool.servers.len().into();
        body["running"] = pool
            .servers
            .iter()
            .map(|server| server.running)
            .sum::<usize>()
            .into();
        body["queued"] = pool.waiting.into();
    }
    (code, Json(body)).into_response()
}

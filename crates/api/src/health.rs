//! `GET /health` and `GET /metrics`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::state::AppState;

/// The status: `ready` with 200, `starting` or `draining` with 503. With a model also how it is running, so that a hang can be
/// noticed: `steps` stays the same for longer than `longest_step_ms` although requests are `running`.
pub async fn health(State(server): State<AppState>) -> Response {
    let (code, status) = match (server.is_draining(), server.loaded()) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, None) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        (false, Some(_)) => (StatusCode::OK, "ready"),
    };
    let mut body = json!({"status": status, "model": server.options().model});
    if let Some(model) = server.loaded() {
        let stats = model.engine.stats();
        body["running"] = stats.requests_running.into();
        body["queued"] = stats.requests_waiting.into();
        body["steps"] = stats.counters.steps.into();
        body["longest_step_ms"] = (stats.counters.longest_step.as_millis() as u64).into();
        body["threads"] = stats.threads.into();
    }
    (code, Json(body)).into_response()
}

/// The metrics in the OpenMetrics text format.
pub async fn metrics(State(server): State<AppState>) -> Response {
    match server.metrics().encode(server.loaded()) {
        Ok(text) => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(error) => crate::error::ApiError::internal(error.to_string()).into_response(),
    }
}

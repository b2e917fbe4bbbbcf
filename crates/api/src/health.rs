//! `GET /health` and `GET /metrics`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::state::AppState;

/// The status: `ready` with 200, `starting` or `draining` with 503.
pub async fn health(State(server): State<AppState>) -> Response {
    let (code, status) = match (server.is_draining(), server.loaded()) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, None) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        (false, Some(_)) => (StatusCode::OK, "ready"),
    };
    (
        code,
        Json(json!({"status": status, "model": server.options().model})),
    )
        .into_response()
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

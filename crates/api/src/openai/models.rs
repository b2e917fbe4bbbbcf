//! `GET /v1/models` and `/v1/models/{id}`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::state::AppState;

/// Lists the names of the model. The list has the fields of OpenAI's and of Anthropic's models API.
pub async fn list(State(server): State<AppState>) -> Json<Value> {
    let names = server.names();
    let data: Vec<Value> = names
        .iter()
        .map(|name| description(&server, name))
        .collect();
    Json(json!({
        "object": "list",
        "data": data,
        "first_id": names.first(),
        "last_id": names.last(),
        "has_more": false,
    }))
}

/// Describes the model by one of its names.
pub async fn retrieve(
    State(server): State<AppState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::invalid(error.to_string()))?;
    if server.serves(&id) {
        return Ok(Json(description(&server, &id)));
    }
    Err(ApiError::unknown_model(&id, &server.options().model))
}

fn description(server: &AppState, id: &str) -> Value {
    let created = server.created();
    let mut description = json!({
        "id": id,
        "object": "model",
        "type": "model",
        "display_name": id,
        "created": created,
        "created_at": rfc3339(created),
        "owned_by": "mlxm",
        // The name of the model of which `id` may be an alias.
        "root": server.options().model,
    });
    if let Some(model) = server.loaded() {
        let info = model.engine.info();
        let context_length = model.engine.memory_plan().context_length;
        // Clients of vLLM, Anthropic and llama.cpp look for it under these names.
        for name in [
            "context_length",
            "max_model_len",
            "max_input_tokens",
            "max_tokens",
        ] {
            description[name] = context_length.into();
        }
        description["meta"] = json!({"n_ctx": context_length});
        description["architecture"] = info.architecture.into();
        description["parameters"] = info.parameters.into();
        description["capabilities"] = json!(model.capabilities());
    }
    description
}

/// A time in seconds since 1970 as RFC 3339 in UTC.
fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.unwrap_or_default().to_string()
}

//! `GET /v1/models` and `/v1/models/{id}`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::state::AppState;

/// Lists the model.
pub async fn list(State(server): State<AppState>) -> Json<Value> {
    Json(json!({"object": "list", "data": [description(&server, &server.options().model)]}))
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
    let mut description =
        json!({"id": id, "object": "model", "created": server.created(), "owned_by": "mlxm"});
    if let Some(model) = server.loaded() {
        let info = model.engine.info();
        let has_chat_template = model.chat.template().is_ok();
        description["context_length"] = model.engine.memory_plan().context_length.into();
        description["architecture"] = info.architecture.into();
        description["parameters"] = info.parameters.into();
        description["capabilities"] = json!({
            "chat": has_chat_template,
            "tools": has_chat_template,
            "reasoning": model.chat.supports_reasoning(),
            "vision": false,
            "embeddings": false,
        });
    }
    description
}

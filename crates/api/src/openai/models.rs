//! `GET /v1/models` and `/v1/models/{id}`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::state::{AppState, Capabilities};

/// What is known about a model from its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelDetails {
    /// Tokens of prompt and completion together.
    pub context_length: usize,
    /// The `model_type` of its configuration.
    pub architecture: String,
    /// Number of parameters.
    pub parameters: u64,
    /// What it can be used for.
    pub capabilities: Capabilities,
}

/// A model under one of its names.
pub struct ModelEntry<'a> {
    /// The name.
    pub id: &'a str,
    /// The name of the model of which `id` may be an alias.
    pub root: &'a str,
    /// Seconds since 1970.
    pub created: u64,
    /// Absent while the model is loading.
    pub details: Option<&'a ModelDetails>,
    /// Whether the model is in memory, where models are loaded on request.
    pub loaded: Option<bool>,
}

impl ModelEntry<'_> {
    /// The entry with the fields of OpenAI's and of Anthropic's models API.
    pub fn to_json(&self) -> Value {
        let mut entry = json!({
            "id": self.id,
            "object": "model",
            "type": "model",
            "display_name": self.id,
            "created": self.created,
            "created_at": rfc3339(self.created),
            "owned_by": "mlxm",
            "root": self.root,
        });
        if let Some(details) = self.details {
            // Clients of vLLM, Anthropic and llama.cpp look for it under these names.
            for name in [
                "context_length",
                "max_model_len",
                "max_input_tokens",
                "max_tokens",
            ] {
                entry[name] = details.context_length.into();
            }
            entry["meta"] = json!({"n_ctx": details.context_length});
            entry["architecture"] = details.architecture.as_str().into();
            entry["parameters"] = details.parameters.into();
            entry["capabilities"] = json!(details.capabilities);
        }
        if let Some(loaded) = self.loaded {
            entry["loaded"] = loaded.into();
        }
        entry
    }
}

/// The list of all entries, with the fields of OpenAI's and of Anthropic's models API.
pub fn list_json(entries: &[ModelEntry<'_>]) -> Value {
    json!({
        "object": "list",
        "data": entries.iter().map(ModelEntry::to_json).collect::<Vec<_>>(),
        "first_id": entries.first().map(|entry| entry.id),
        "last_id": entries.last().map(|entry| entry.id),
        "has_more": false,
    })
}

/// Lists the names of the model.
pub async fn list(State(server): State<AppState>) -> Json<Value> {
    let details = details(&server);
    let names = server.names().into_iter();
    let entries: Vec<ModelEntry<'_>> = names
        .map(|name| entry(&server, details.as_ref(), name))
        .collect();
    Json(list_json(&entries))
}

/// Describes the model by one of its names.
pub async fn retrieve(
    State(server): State<AppState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::invalid(error.to_string()))?;
    if server.serves(&id) {
        let details = details(&server);
        return Ok(Json(entry(&server, details.as_ref(), &id).to_json()));
    }
    Err(ApiError::unknown_model(&id, &server.options().model))
}

fn entry<'a>(
    server: &'a AppState,
    details: Option<&'a ModelDetails>,
    id: &'a str,
) -> ModelEntry<'a> {
    ModelEntry {
        id,
        root: &server.options().model,
        created: server.created(),
        details,
        loaded: None,
    }
}

fn details(server: &AppState) -> Option<ModelDetails> {
    let model = server.loaded()?;
    let info = model.engine.info();
    Some(ModelDetails {
        context_length: model.engine.memory_plan().context_length,
        architecture: info.architecture.to_owned(),
        parameters: info.parameters,
        capabilities: model.capabilities(),
    })
}

/// A time in seconds since 1970 as RFC 3339 in UTC.
fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.unwrap_or_default().to_string()
}

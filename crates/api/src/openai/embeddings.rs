//! `POST /v1/embeddings`.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{ApiError, excerpt};
use crate::extract::{Body, Fields, RequestBody};
use crate::fields::FieldPolicy;
use crate::openapi::requests::schema_of;
use crate::state::AppState;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct EmbeddingFields {
    model: Option<String>,
}

impl RequestBody for EmbeddingFields {
    const POLICY: FieldPolicy = FieldPolicy::NONE;

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        fields.take()
    }
}

/// The schema of a request.
pub fn body() -> Value {
    schema_of::<EmbeddingFields>()
}

/// Rejects the request: generative models have no embeddings.
pub async fn create(
    State(server): State<AppState>,
    body: Body<EmbeddingFields>,
) -> Result<(), ApiError> {
    let model = body.request.model;
    server.model_named(model.as_deref())?;
    let model = server.response_model(model);
    let model = excerpt(&model);
    let message = format!("`{model}` is a generative model; embeddings require an embedding model");
    Err(ApiError::unsupported("model", message))
}

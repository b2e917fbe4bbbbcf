//! `POST /v1/embeddings`.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;
use crate::extract::{Body, read};
use crate::openapi::requests::schema_of;
use crate::state::AppState;

#[derive(Debug, Deserialize, JsonSchema)]
struct EmbeddingFields {
    model: String,
}

/// The schema of a request.
pub fn body() -> Value {
    schema_of::<EmbeddingFields>()
}

/// Says that a model which writes text has no embeddings.
pub async fn create(State(server): State<AppState>, Body(body): Body) -> ApiError {
    let refused = || {
        let fields: EmbeddingFields = read(&body?)?;
        server.model_named(&fields.model)?;
        let message = format!(
            "`{}` writes text and makes no embeddings: serve an embedding model for them",
            fields.model
        );
        Err::<std::convert::Infallible, _>(ApiError::unsupported("model", message))
    };
    match refused() {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

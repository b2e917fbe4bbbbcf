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

/// The schema of the request body.
pub fn body() -> Value {
    schema_of::<EmbeddingFields>()
}

/// Always an error: there are no embedding models.
pub async fn create(State(server): State<AppState>, Body(body): Body) -> ApiError {
    let check = || {
        let fields: EmbeddingFields = read(&body?)?;
        server.model_named(&fields.model)?;
        let message = format!("`{}` does not support embeddings", fields.model);
        Err::<std::convert::Infallible, _>(ApiError::unsupported("model", message))
    };
    match check() {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

//! `POST /v1/responses`.

use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt as _;
use serde_json::{Map, Value};

use super::object::ResponseEnvelope;
use super::output::Output;
use super::request::{FIELD_POLICY, ParsedRequest, ResponseFields};
use super::store::StoredResponse;
use super::stream;
use crate::error::{ApiError, Protocol};
use crate::extract::{Body, read};
use crate::generate::{Completion, start};
use crate::layers::RequestStart;
use crate::openai::logprobs;
use crate::openai::shared::StreamFields;
use crate::state::AppState;

/// Creates a response.
pub async fn create(
    State(server): State<AppState>,
    Extension(received_at): Extension<RequestStart>,
    Body(body): Body,
) -> Response {
    let complete = async |body: Map<String, Value>| complete(&server, &body, received_at.0).await;
    FIELD_POLICY
        .respond(&server, Protocol::OpenAi, body, complete)
        .await
}

async fn complete(
    server: &AppState,
    body: &Map<String, Value>,
    received_at: Instant,
) -> Result<Response, ApiError> {
    let common: StreamFields = read(body)?;
    let model = server.model_named(&common.model)?;
    let mut fields: ResponseFields = read(body)?;
    let streams = common.streams()?;
    let previous = match fields.previous_response_id.as_deref() {
        None => None,
        Some(id) => match server.responses().get(id).await? {
            Some(stored) => Some(stored),
            None => return Err(ApiError::unknown_previous_response(id)),
        },
    };
    let ParsedRequest { chat, input } = fields.parse(model, body, previous)?;
    let envelope = ResponseEnvelope::new(model, &common.model, &fields, body);
    let started = start(chat, server, received_at).await;
    let mut started = started.map_err(rename_fields)?;
    let completion = started.answers.pop();
    let mut builder = ResponseBuilder {
        server: server.clone(),
        envelope,
        input: fields.store.unwrap_or(true).then_some(input),
        completion: completion.ok_or_else(|| ApiError::internal("there is no completion"))?,
        output: Output::default(),
    };
    if streams {
        return Ok(stream::response(builder));
    }
    loop {
        if let Some(response) = builder.step().await? {
            return Ok(Json(response).into_response());
        }
        builder.output.take_events();
    }
}

/// Replaces names of chat completion fields in an error.
fn rename_fields(error: ApiError) -> ApiError {
    error
        .renamed("response_format", "text.format")
        .renamed("max_tokens", "max_output_tokens")
        .renamed("messages", "input")
}

/// Builds a response from its completion. Dropping it early cancels the completion, and the response is not stored.
pub struct ResponseBuilder {
    pub server: AppState,
    pub envelope: ResponseEnvelope,
    pub output: Output,
    /// The input items, if the response is stored.
    input: Option<Vec<Value>>,
    completion: Completion,
}

impl ResponseBuilder {
    /// Processes the next chunk. The last one stores the response and returns it.
    ///
    /// # Errors
    /// If the completion fails or the response cannot be stored.
    pub async fn step(&mut self) -> Result<Option<Value>, ApiError> {
        let chunk = self.completion.next().await;
        let chunk =
            chunk.ok_or_else(|| ApiError::internal("the completion has no finish reason"))??;
        let model = self.server.loaded();
        let summary = self.output.push(chunk, |logprob| {
            Some(logprobs::chat_logprob(model?, logprob))
        });
        let Some(summary) = summary else {
            return Ok(None);
        };
        let response = self.envelope.finished(&self.output, &summary);
        if let Some(input) = self.input.take() {
            let stored = StoredResponse { response, input };
            let id = self.envelope.id();
            self.server.responses().put(id, &stored).await?;
            return Ok(Some(stored.response));
        }
        Ok(Some(response))
    }
}

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

/// Answers a conversation.
pub async fn create(
    State(server): State<AppState>,
    Extension(received_at): Extension<RequestStart>,
    Body(body): Body,
) -> Response {
    let answer = async |body: Map<String, Value>| answer(&server, &body, received_at.0).await;
    FIELD_POLICY
        .respond(&server, Protocol::OpenAi, body, answer)
        .await
}

async fn answer(
    server: &AppState,
    body: &Map<String, Value>,
    received_at: Instant,
) -> Result<Response, ApiError> {
    let whole: StreamFields = read(body)?;
    let model = server.model_named(&whole.model)?;
    let mut fields: ResponseFields = read(body)?;
    let streams = whole.streams()?;
    let previous = match fields.previous_response_id.as_deref() {
        None => None,
        Some(id) => match server.responses().get(id).await? {
            Some(stored) => Some(stored),
            None => return Err(ApiError::unknown_previous_response(id)),
        },
    };
    let ParsedRequest { chat, input } = fields.parse(model, body, previous)?;
    let envelope = ResponseEnvelope::new(model, &whole.model, &fields, body);
    let started = start(chat, server, received_at).await;
    let mut started = started.map_err(rename_fields)?;
    let answer = started.answers.pop();
    let mut builder = ResponseBuilder {
        server: server.clone(),
        envelope,
        input: fields.store.unwrap_or(true).then_some(input),
        answer: answer.ok_or_else(|| ApiError::internal("there is no answer"))?,
        output: Output::default(),
    };
    if streams {
        return Ok(stream::response(builder));
    }
    loop {
        if let Some(response) = builder.step().await? {
            return Ok(Json(response).into_response());
        }
        builder.output.events();
    }
}

/// Chats call some fields by other names.
fn rename_fields(error: ApiError) -> ApiError {
    error
        .renamed("response_format", "text.format")
        .renamed("max_tokens", "max_output_tokens")
        .renamed("messages", "input")
}

/// A response that is being made. Who drops it before it has ended stops the answer, and nothing is stored.
pub struct ResponseBuilder {
    pub server: AppState,
    pub envelope: ResponseEnvelope,
    pub output: Output,
    /// The items that are answered, if they are to be stored.
    input: Option<Vec<Value>>,
    answer: Completion,
}

impl ResponseBuilder {
    /// Takes a step; the last one stores the response and gives it out.
    ///
    /// # Errors
    /// When the answer cannot be completed or stored.
    pub async fn step(&mut self) -> Result<Option<Value>, ApiError> {
        let chunk = self.answer.next().await;
        let chunk = chunk.ok_or_else(|| ApiError::internal("the answer has no end"))??;
        let model = self.server.loaded();
        let ended = self.output.take(chunk, |logprob| {
            Some(logprobs::chat_logprob(model?, logprob))
        });
        let Some(ended) = ended else {
            return Ok(None);
        };
        let response = self.envelope.ended(&self.output, &ended);
        if let Some(input) = self.input.take() {
            let stored = StoredResponse { response, input };
            let id = self.envelope.id();
            self.server.responses().put(id, &stored).await?;
            return Ok(Some(stored.response));
        }
        Ok(Some(response))
    }
}

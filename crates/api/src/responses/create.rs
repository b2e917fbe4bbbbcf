//! `POST /v1/responses`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::object::ResponseEnvelope;
use super::output::Output;
use super::request::{ParsedRequest, ResponseBody};
use super::store::StoredResponse;
use super::stream;
use crate::error::ApiError;
use crate::extract::Body;
use crate::fields::Warnings;
use crate::generate::{Completion, start};
use crate::layers::RequestContext;
use crate::openai::logprobs;
use crate::state::AppState;

/// Creates a response.
pub async fn create(
    State(server): State<AppState>,
    Extension(context): Extension<RequestContext>,
    Body {
        request,
        mut warnings,
    }: Body<ResponseBody>,
) -> Result<Response, ApiError> {
    let response = respond(&server, request, &context, &mut warnings).await?;
    Ok(warnings.attach(response))
}

async fn respond(
    server: &AppState,
    mut body: ResponseBody,
    context: &RequestContext,
    warnings: &mut Warnings,
) -> Result<Response, ApiError> {
    let model = server.model_named(body.stream.model.as_deref())?;
    let streams = body.stream.streams();
    body.fields.previous_response_id.take_if(|id| id.is_empty());
    let previous = match body.fields.previous_response_id.as_deref() {
        None => None,
        Some(id) => match server.responses().get(id).await? {
            Some(stored) => Some(stored),
            None => return Err(ApiError::unknown_previous_response(id)),
        },
    };
    let name = server.response_model(body.stream.model.clone());
    let envelope = ResponseEnvelope::new(model, &context.profile, name, &body);
    let ParsedRequest {
        chat,
        tool_kinds,
        input,
    } = body
        .fields
        .parse(model, &context.profile, body.sampling, previous, warnings)?;
    let started = start(chat, server, context, warnings).await;
    let mut started = started.map_err(rename_fields)?;
    let completion = started.completions.pop();
    let mut builder = ResponseBuilder {
        server: server.clone(),
        envelope,
        input: body.fields.store.unwrap_or(true).then_some(input),
        completion: completion.ok_or_else(|| ApiError::internal("there is no completion"))?,
        output: Output::new(tool_kinds),
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
        .with_path_end(".function.parameters", ".parameters")
}

/// A response in progress. Dropping it cancels the generation, and nothing is stored.
pub struct ResponseBuilder {
    pub server: AppState,
    pub envelope: ResponseEnvelope,
    pub output: Output,
    /// The input items, if the response is to be stored.
    input: Option<Vec<Value>>,
    completion: Completion,
}

impl ResponseBuilder {
    /// Processes the next chunk; the last one stores and returns the response.
    ///
    /// # Errors
    /// If the generation fails or the response cannot be stored.
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

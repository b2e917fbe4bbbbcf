//! `POST /v1/responses`.

use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt as _;
use serde_json::{Map, Value};

use super::object::Frame;
use super::output::Output;
use super::request::{OFFICIAL, ResponseFields, Understood};
use super::store::StoredResponse;
use super::stream;
use crate::error::{ApiError, Protocol};
use crate::extract::{Body, read};
use crate::generate::Answer;
use crate::layers::Arrived;
use crate::openai::logprobs;
use crate::openai::shared::StreamFields;
use crate::server::Server;

/// Answers a conversation.
pub async fn create(
    State(server): State<Server>,
    Extension(arrived): Extension<Arrived>,
    Body(body): Body,
) -> Response {
    let answer = async |body: Map<String, Value>| answer(&server, &body, arrived.0).await;
    OFFICIAL
        .respond(&server, Protocol::OpenAi, body, answer)
        .await
}

async fn answer(
    server: &Server,
    body: &Map<String, Value>,
    arrived: Instant,
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
    let Understood { chat, input } = fields.understand(model, body, previous)?;
    let frame = Frame::new(model, &whole.model, &fields, body);
    let started = chat.start(server, arrived).await;
    let mut started = started.map_err(in_own_words)?;
    let answer = started.answers.pop();
    let mut making = Making {
        server: server.clone(),
        frame,
        input: fields.store.unwrap_or(true).then_some(input),
        answer: answer.ok_or_else(|| ApiError::internal("there is no answer"))?,
        output: Output::default(),
    };
    if streams {
        return Ok(stream::response(making));
    }
    loop {
        if let Some(response) = making.step().await? {
            return Ok(Json(response).into_response());
        }
        making.output.events();
    }
}

/// Chats call some fields by other names.
fn in_own_words(error: ApiError) -> ApiError {
    error
        .renamed("response_format", "text.format")
        .renamed("max_tokens", "max_output_tokens")
        .renamed("messages", "input")
}

/// A response that is being made. Who drops it before it has ended stops the answer, and nothing is stored.
pub struct Making {
    pub server: Server,
    pub frame: Frame,
    pub output: Output,
    /// The items that are answered, if they are to be stored.
    input: Option<Vec<Value>>,
    answer: Answer,
}

impl Making {
    /// Takes a step; the last one stores the response and gives it out.
    ///
    /// # Errors
    /// When the answer cannot be completed or stored.
    pub async fn step(&mut self) -> Result<Option<Value>, ApiError> {
        let chunk = self.answer.next().await;
        let chunk = chunk.ok_or_else(|| ApiError::internal("the answer has no end"))??;
        let model = self.server.loaded();
        let ended = self
            .output
            .take(chunk, |logprob| Some(logprobs::in_chat(model?, logprob)));
        let Some(ended) = ended else {
            return Ok(None);
        };
        let response = self.frame.ended(&self.output, &ended);
        if let Some(input) = self.input.take() {
            let stored = StoredResponse { response, input };
            let id = self.frame.id();
            self.server.responses().put(id, &stored).await?;
            return Ok(Some(stored.response));
        }
        Ok(Some(response))
    }
}

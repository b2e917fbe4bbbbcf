//! The routes that begin runs, and `/api/runs`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, patch, post};
use mlxm_store::chats::{self, Chat};
use mlxm_store::messages::{self, Role};
use mlxm_store::runs::RunTarget;
use mlxm_store::{Store, Uuid};

use super::start::{NewTask, response_to, start};
use super::{reproduce, thread};
use crate::gateway::GatewayState;
use crate::gateway::chats::{OWNER, attachments, ids, publish};
use crate::gateway::extract::{JsonBody, OptionalJsonBody, Path};
use crate::gateway::management::check_request;
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::change::Change;
use crate::wire::messages::{EditMessage, Message, SendMessage};
use crate::wire::runs::{Reproduction, RunOptions, RunSnapshot, RunStarted};

/// The longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 200;

/// Where a message has the settings of its run.
const OPTION_SETTINGS: &str = "options.settings";

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/chats/{id}/messages", post(send_message)),
        ("/api/chats/{id}/messages/{message}", patch(edit_message)),
        (
            "/api/chats/{id}/messages/{message}/regenerate",
            post(regenerate_response),
        ),
        (
            "/api/chats/{id}/messages/{message}/continue",
            post(continue_response),
        ),
        ("/api/runs/{id}", get(show_run)),
        ("/api/runs/{id}/stop", post(stop_run)),
        ("/api/runs/{id}/reproduce", post(reproduce_response)),
    ]
}

type Started = (StatusCode, Json<RunStarted>);

async fn begin(state: &GatewayState, new: NewTask) -> Result<Started, ApiProblem> {
    let started = start(state, new).await?;
    Ok((StatusCode::ACCEPTED, Json(started)))
}

/// Sends a message, and starts a run that responds, whether or not the client stays connected. The model may still be loading or
/// being downloaded: the run waits for it.
#[utoipa::path(
    post,
    path = "/api/chats/{id}/messages",
    tag = "chats",
    operation_id = "send_message",
    params(("id" = Uuid, Path)),
    request_body = SendMessage,
    responses((status = 202, body = RunStarted), (status = 404), (status = 409))
)]
pub async fn send_message(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<SendMessage>,
) -> Result<Started, ApiProblem> {
    let id = ids::chat(&id)?;
    check_key(request.idempotency_key.as_deref())?;
    check_request(OPTION_SETTINGS, &request.options.settings)?;
    let store = state.chats().of(id);
    let chat = chats::get(store, OWNER, id).await?;
    let after = match request.parent_id {
        Change::Keep => chat.leaf_id,
        Change::Clear => None,
        Change::Set(parent) => Some(parent),
    };
    let content = attachments::resolve(state.chats(), id, request.content).await?;
    let new = NewTask {
        chat,
        target: RunTarget::Message {
            parent_id: after,
            content,
        },
        options: request.options,
        idempotency_key: request.idempotency_key,
    };
    begin(&state, new).await
}

/// Adds another version of a message as its sibling. A run responds to that of a user; that of a response is complete.
#[utoipa::path(
    patch,
    path = "/api/chats/{id}/messages/{message}",
    tag = "chats",
    operation_id = "edit_message",
    params(("id" = Uuid, Path), ("message" = Uuid, Path)),
    request_body = EditMessage,
    responses(
        (status = 202, body = RunStarted),
        (status = 200, body = Message, description = "The new version of a response"),
        (status = 404),
        (status = 409)
    )
)]
pub async fn edit_message(
    State(state): State<GatewayState>,
    Path((id, message)): Path<(String, String)>,
    JsonBody(request): JsonBody<EditMessage>,
) -> Result<Response, ApiProblem> {
    let id = ids::chat(&id)?;
    check_key(request.idempotency_key.as_deref())?;
    check_request(OPTION_SETTINGS, &request.options.settings)?;
    let (store, chat, message) = find(&state, id, &message).await?;
    let content = attachments::resolve(state.chats(), id, request.content).await?;
    if message.role == Role::Assistant {
        let key = request.idempotency_key.as_deref();
        let edited = edit_response(&state, store, message, content, key).await?;
        return Ok(Json(edited).into_response());
    }
    let new = NewTask {
        chat,
        target: RunTarget::Message {
            parent_id: message.parent_id,
            content,
        },
        options: request.options,
        idempotency_key: request.idempotency_key,
    };
    Ok(begin(&state, new).await?.into_response())
}

async fn edit_response(
    state: &GatewayState,
    store: &Store,
    message: messages::Message,
    content: Vec<messages::Part>,
    key: Option<&str>,
) -> Result<Message, ApiProblem> {
    let is_text = |part: &messages::Part| matches!(part, messages::Part::Text { .. });
    if !content.iter().all(is_text) {
        let message = "of a response can only be text";
        return Err(ApiProblem::field("content", "invalid_value", message));
    }
    let new = messages::NewMessage {
        parent_id: message.parent_id,
        role: Role::Assistant,
        body: messages::MessageBody {
            content,
            ..messages::MessageBody::default()
        },
        model: message.model,
    };
    let edited = match key {
        Some(key) => messages::insert_once(store, OWNER, message.chat_id, new, key).await?,
        None => messages::insert(store, OWNER, message.chat_id, new).await?,
    };
    let edited = Message::from(edited);
    // Also if it was sent again: the first request may have been cut off here.
    publish::messages_added(state, message.chat_id, vec![edited.clone()]);
    let chat = chats::get(store, OWNER, message.chat_id).await?;
    publish::changed(state, &chat.into());
    Ok(edited)
}

/// Starts a run that responds once more to the same message, with the same or another model. The responses are siblings.
#[utoipa::path(
    post,
    path = "/api/chats/{id}/messages/{message}/regenerate",
    tag = "chats",
    operation_id = "regenerate_response",
    params(("id" = Uuid, Path), ("message" = Uuid, Path, description = "A response, or a message of the user")),
    request_body = RunOptions,
    responses((status = 202, body = RunStarted), (status = 404))
)]
pub async fn regenerate_response(
    State(state): State<GatewayState>,
    Path((id, message)): Path<(String, String)>,
    OptionalJsonBody(options): OptionalJsonBody<RunOptions>,
) -> Result<Started, ApiProblem> {
    let id = ids::chat(&id)?;
    check_request("settings", &options.settings)?;
    let (_, chat, message) = find(&state, id, &message).await?;
    let target = response_to(&message).ok_or_else(|| {
        let detail = format!("the response `{}` has no message before it", message.id);
        ApiProblem::new(Code::RESPONSE_NOT_REPEATABLE, detail).with_advice("send a message instead")
    })?;
    let new = NewTask {
        chat,
        target,
        options,
        idempotency_key: None,
    };
    begin(&state, new).await
}

/// Starts a run that continues a response: one that was stopped, interrupted, or ended at a limit or an error, and that no message
/// follows. It uses the model and the API that wrote the response, unless the request names others.
#[utoipa::path(
    post,
    path = "/api/chats/{id}/messages/{message}/continue",
    tag = "chats",
    operation_id = "continue_response",
    params(("id" = Uuid, Path), ("message" = Uuid, Path)),
    request_body = RunOptions,
    responses((status = 202, body = RunStarted), (status = 404), (status = 409))
)]
pub async fn continue_response(
    State(state): State<GatewayState>,
    Path((id, message)): Path<(String, String)>,
    OptionalJsonBody(options): OptionalJsonBody<RunOptions>,
) -> Result<Started, ApiProblem> {
    let id = ids::chat(&id)?;
    check_request("settings", &options.settings)?;
    let (_, chat, message) = find(&state, id, &message).await?;
    check_continuable(&message)?;
    let new = NewTask {
        chat,
        target: RunTarget::Continue {
            message_id: message.id,
        },
        options: as_written(&message, options),
        idempotency_key: None,
    };
    begin(&state, new).await
}

/// Options for more of a response: the model and the API that wrote it, if there are no others.
fn as_written(message: &messages::Message, options: RunOptions) -> RunOptions {
    let protocol = || {
        let receipt = message.body.receipt.as_ref()?;
        serde_json::from_value(receipt.get("protocol")?.clone()).ok()
    };
    RunOptions {
        model: options.model.or_else(|| message.model.clone()),
        protocol: options.protocol.or_else(protocol),
        ..options
    }
}

/// A run continues text: reasoning and calls cannot be given to a model in part.
fn check_continuable(message: &messages::Message) -> Result<(), ApiProblem> {
    let problem = if message.role == Role::User {
        "is a message of the user"
    } else if !message.body.tool_calls.is_empty() {
        "calls tools"
    } else if message.body.text().is_empty() {
        "has no text yet"
    } else {
        return Ok(());
    };
    let detail = format!("`{}` cannot be continued: it {problem}", message.id);
    Err(ApiProblem::new(Code::RESPONSE_NOT_REPEATABLE, detail).with_advice("regenerate it instead"))
}

/// Returns a run and its response, with the number of the last event in it.
#[utoipa::path(
    get,
    path = "/api/runs/{id}",
    tag = "chats",
    operation_id = "get_run",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = RunSnapshot), (status = 404))
)]
pub async fn show_run(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<RunSnapshot>, ApiProblem> {
    let id = ids::run(&id)?;
    Ok(Json(thread::snapshot(&state, id).await?))
}

/// Stops a run, and keeps the text so far. Does nothing with a run that has ended.
#[utoipa::path(
    post,
    path = "/api/runs/{id}/stop",
    tag = "chats",
    operation_id = "stop_run",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = RunSnapshot), (status = 404))
)]
pub async fn stop_run(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<RunSnapshot>, ApiProblem> {
    let id = ids::run(&id)?;
    state.runs().stop(id).await;
    Ok(Json(thread::snapshot(&state, id).await?))
}

/// Computes the response of a run again, with the same settings and seed, and compares: it is the same to the last character, or
/// the first difference is returned. The response is not changed. Of one that was cut off, as much is computed as there is; of one
/// that was continued, only the last run is.
#[utoipa::path(
    post,
    path = "/api/runs/{id}/reproduce",
    tag = "chats",
    operation_id = "reproduce_response",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Reproduction), (status = 404), (status = 409), (status = 502))
)]
pub async fn reproduce_response(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<Reproduction>, ApiProblem> {
    let id = ids::run(&id)?;
    Ok(Json(reproduce::reproduce(&state, id).await?))
}

async fn find<'a>(
    state: &'a GatewayState,
    chat: Uuid,
    message: &str,
) -> Result<(&'a Store, Chat, messages::Message), ApiProblem> {
    let message = ids::message(message)?;
    let store = state.chats().of(chat);
    let found = chats::get(store, OWNER, chat).await?;
    let message = messages::get(store, OWNER, chat, message).await?;
    Ok((store, found, message))
}

fn check_key(key: Option<&str>) -> Result<(), ApiProblem> {
    let is_valid = |key: &str| (1..=MAX_KEY_BYTES).contains(&key.len());
    if key.is_none_or(is_valid) {
        return Ok(());
    }
    let message = format!("must have 1 to {MAX_KEY_BYTES} bytes");
    Err(ApiProblem::field(
        "idempotency_key",
        "out_of_range",
        message,
    ))
}

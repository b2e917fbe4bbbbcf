//! Branches of a chat: which one is open, copies of one, and messages that are deleted and restored.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, delete, post};
use mlxm_store::{chats, messages};

use super::{OWNER, conversations, ids, publish, title};
use crate::gateway::GatewayState;
use crate::gateway::extract::{JsonBody, Path};
use crate::gateway::problem::ApiProblem;
use crate::wire::chats::{
    Chat, ForkRequest, LeafRequest, MessageList, MessagesDeleted, RestoreMessages,
};
use crate::wire::messages::Message;

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/chats/{id}/leaf", post(open)),
        ("/api/chats/{id}/fork", post(fork)),
        ("/api/chats/{id}/messages/restore", post(restore)),
        ("/api/chats/{id}/messages/{message}", delete(remove)),
    ]
}

/// Opens the newest branch through a message. Other devices that show the chat follow.
#[utoipa::path(
    post,
    path = "/api/chats/{id}/leaf",
    tag = "chats",
    operation_id = "open_branch",
    params(("id" = Uuid, Path)),
    request_body = LeafRequest,
    responses((status = 200, body = Chat), (status = 404))
)]
pub async fn open(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<LeafRequest>,
) -> Result<Json<Chat>, ApiProblem> {
    let id = ids::chat(&id)?;
    let store = state.chats().of(id);
    let chat = Chat::from(chats::set_leaf(store, OWNER, id, request.message).await?);
    publish::changed(&state, &chat);
    Ok(Json(chat))
}

/// Copies the messages up to one of them into a new chat with the same settings.
#[utoipa::path(
    post,
    path = "/api/chats/{id}/fork",
    tag = "chats",
    operation_id = "fork_chat",
    params(("id" = Uuid, Path)),
    request_body = ForkRequest,
    responses((status = 201, body = Chat), (status = 404))
)]
pub async fn fork(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<ForkRequest>,
) -> Result<(StatusCode, Json<Chat>), ApiProblem> {
    let id = ids::chat(&id)?;
    let stores = state.chats();
    let copy = chats::fork(stores.of(id), OWNER, id, request.message).await?;
    let oldest = copy
        .is_temporary
        .then(|| stores.add_temporary(copy.id))
        .flatten();
    if let Some(oldest) = oldest {
        conversations::evict(&state, oldest).await?;
    }
    let rename = |config: &mut chats::ChatConfig| {
        config.title = title::of_copy(&config.title);
        Ok(())
    };
    let chat = Chat::from(stores.edit(copy.id, rename).await?);
    publish::changed(&state, &chat);
    Ok((StatusCode::CREATED, Json(chat)))
}

/// Deletes a message and all that follow it, in all branches. They can be restored for 30 days. If the open branch had one of
/// them, the newest other branch is opened.
#[utoipa::path(
    delete,
    path = "/api/chats/{id}/messages/{message}",
    tag = "chats",
    operation_id = "delete_message",
    params(("id" = Uuid, Path), ("message" = Uuid, Path)),
    responses((status = 200, body = MessagesDeleted), (status = 404), (status = 409))
)]
pub async fn remove(
    State(state): State<GatewayState>,
    Path((id, message)): Path<(String, String)>,
) -> Result<Json<MessagesDeleted>, ApiProblem> {
    let (id, message) = (ids::chat(&id)?, ids::message(&message)?);
    let store = state.chats().of(id);
    let deleted = messages::delete(store, OWNER, id, message).await?;
    publish::messages_removed(&state, id, deleted.ids.clone());
    publish::changed(&state, &chats::get(store, OWNER, id).await?.into());
    Ok(Json(MessagesDeleted {
        messages: deleted.ids,
        leaf_id: deleted.leaf_id,
    }))
}

/// Restores messages that were deleted together, and opens their newest branch.
#[utoipa::path(
    post,
    path = "/api/chats/{id}/messages/restore",
    tag = "chats",
    operation_id = "restore_messages",
    params(("id" = Uuid, Path)),
    request_body = RestoreMessages,
    responses((status = 200, body = MessageList), (status = 404))
)]
pub async fn restore(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<RestoreMessages>,
) -> Result<Json<MessageList>, ApiProblem> {
    let id = ids::chat(&id)?;
    if request.messages.is_empty() {
        let message = "must have the ids of deleted messages";
        return Err(ApiProblem::field("messages", "missing", message));
    }
    let store = state.chats().of(id);
    let restored = messages::restore(store, OWNER, id, &request.messages).await?;
    let restored: Vec<Message> = restored.into_iter().map(Message::from).collect();
    publish::messages_added(&state, id, restored.clone());
    publish::changed(&state, &chats::get(store, OWNER, id).await?.into());
    Ok(Json(MessageList { messages: restored }))
}

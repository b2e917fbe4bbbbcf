//! `GET /api/chats/{id}`: a chat with its messages and the runs that write them.

use axum::Json;
use axum::extract::State;
use mlxm_store::chats;

use super::{OWNER, ids, runs};
use crate::gateway::GatewayState;
use crate::gateway::extract::Path;
use crate::gateway::problem::ApiProblem;
use crate::wire::chats::ChatDetail;

/// Returns a chat with the messages of all branches, and the id with which its events continue.
#[utoipa::path(
    get,
    path = "/api/chats/{id}",
    tag = "chats",
    operation_id = "get_chat",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = ChatDetail), (status = 404))
)]
pub async fn show(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<ChatDetail>, ApiProblem> {
    let id = ids::chat(&id)?;
    // Before the chat is read: its events from here on are not in it, or replace it with the same.
    let thread = runs::thread(&state, id).await?;
    let chat = chats::get(state.chats().of(id), OWNER, id).await?;
    Ok(Json(ChatDetail {
        chat: chat.into(),
        messages: thread.messages,
        runs: thread.runs,
        last_event_id: thread.last_event_id,
    }))
}

//! The requests of a server that have not ended.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mlxm_gateway::ServerStatus;
use mlxm_store::Uuid;

use super::find;
use crate::gateway::extract::Path;
use crate::gateway::problem::{ApiProblem, Code};
use crate::gateway::proxy;
use crate::gateway::workers::load_settings;
use crate::gateway::{GatewayState, Snapshot};
use crate::wire::requests::{LiveRequest, RequestState, ServerRequests};
use crate::worker::RequestPhase;

/// The requests of each of `servers`: those that it has, and those that wait for it.
pub async fn live_requests(state: &GatewayState, servers: &[ServerStatus]) -> Vec<ServerRequests> {
    let snapshot = state.snapshot();
    let mut by_server: BTreeMap<Uuid, Vec<LiveRequest>> = BTreeMap::new();
    for request in state.monitor().requests.list().await {
        if let Some(server) = server_of(&snapshot, servers, &request) {
            by_server.entry(server).or_default().push(to_wire(request));
        }
    }
    let ids = servers.iter().map(|server| server.record.id);
    ids.map(|server| ServerRequests {
        server,
        requests: by_server.remove(&server).unwrap_or_default(),
    })
    .collect()
}

/// The server that has the request, or that has the model and the settings it waits for: the newest of them that has not failed.
fn server_of(
    snapshot: &Snapshot,
    servers: &[ServerStatus],
    request: &proxy::LiveRequest,
) -> Option<Uuid> {
    if let Some(worker) = &request.worker {
        return worker.parse().ok();
    }
    let profile = request.profile.as_deref();
    let profile = profile.and_then(|name| snapshot.profile(name));
    let settings = load_settings(snapshot, request.model.as_deref()?, profile).ok()?;
    servers
        .iter()
        .filter(|server| server.record.settings == settings)
        .max_by_key(|server| (server.failure.is_none(), server.record.started_at_ms))
        .map(|server| server.record.id)
}

fn to_wire(request: proxy::LiveRequest) -> LiveRequest {
    let progress = request.progress.as_ref();
    let state = match (progress.map(|progress| progress.phase), &request.worker) {
        (Some(RequestPhase::Queued), _) => RequestState::Queued,
        (Some(RequestPhase::Prefill), _) => RequestState::Prefill,
        (Some(RequestPhase::Decode), _) => RequestState::Decode,
        (None, Some(_)) => RequestState::Running,
        (None, None) => RequestState::Waiting,
    };
    let since = request.received_at.duration_since(UNIX_EPOCH);
    LiveRequest {
        id: request.id,
        request_id: request.request_id,
        method: request.method,
        endpoint: request.route,
        requested: request.requested,
        model: request.model.unwrap_or_default(),
        profile: request.profile,
        client: request.client,
        started_at_ms: i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX),
        state,
        prompt_tokens: progress.map(|progress| progress.prompt_tokens as u64),
        cached_tokens: progress.map(|progress| progress.cached_tokens as u64),
        computed_tokens: progress.map(|progress| progress.computed_tokens as u64),
        completion_tokens: progress.map(|progress| progress.completion_tokens as u64),
    }
}

/// Lists the requests of a server that have not ended, in the order of their arrival: those that it has, and those that wait for
/// it. Their content is not part of the list.
#[utoipa::path(
    get,
    path = "/api/servers/{id}/requests",
    tag = "servers",
    operation_id = "list_server_requests",
    params(("id" = String, Path, description = "Its id, or the name of its model or profile")),
    responses((status = 200, body = ServerRequests), (status = 404))
)]
pub async fn list_requests(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<ServerRequests>, ApiProblem> {
    let server = find(&state, &id).await?.record.id;
    let servers = state.pool().servers().await?.all();
    let all = live_requests(&state, &servers).await;
    let found = all.into_iter().find(|requests| requests.server == server);
    Ok(Json(found.unwrap_or(ServerRequests {
        server,
        requests: Vec::new(),
    })))
}

/// Cancels a request. Its client gets an error: status 499, or the last event of a stream that has begun; its row in the audit
/// log has status 499 and the error `cancelled`.
#[utoipa::path(
    post,
    path = "/api/servers/{id}/requests/{request_id}/cancel",
    tag = "servers",
    operation_id = "cancel_server_request",
    params(
        ("id" = String, Path, description = "The server's id, or the name of its model or profile"),
        ("request_id" = Uuid, Path, description = "The request's `id`")
    ),
    responses((status = 204, description = "It is cancelled"), (status = 404))
)]
pub async fn cancel_request(
    State(state): State<GatewayState>,
    Path((id, request_id)): Path<(String, Uuid)>,
) -> Result<StatusCode, ApiProblem> {
    let server = find(&state, &id).await?;
    let servers = state.pool().servers().await?.all();
    let requests = &state.monitor().requests;
    let snapshot = state.snapshot();
    let is_of_server = requests.all().iter().any(|request| {
        request.id == request_id
            && server_of(&snapshot, &servers, request) == Some(server.record.id)
    });
    if is_of_server && requests.cancel(request_id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let message = format!(
        "{} has no running request `{request_id}`: it has ended, or it is that of another server",
        server.record.name
    );
    let advice = format!(
        "GET /api/servers/{}/requests lists those that it has",
        server.record.id
    );
    Err(ApiProblem::new(Code::REQUEST_NOT_FOUND, message).with_advice(advice))
}

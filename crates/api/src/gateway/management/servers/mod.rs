//! `/api/servers`: the processes that have models in memory.
//!
//! `target`: what a start names. `start`: starting and restarting. `convert`: servers as the API shows them. `requests`: what
//! they process. `history`: what they have used.

mod convert;
pub(super) mod history;
pub(super) mod requests;
mod start;
mod target;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use mlxm_gateway::ServerStatus;
use mlxm_store::Uuid;

pub use convert::servers;
pub use requests::live_requests;
pub use target::{Wanted, resolve};

use super::pool::plan_of;
use crate::gateway::GatewayState;
use crate::gateway::extract::{JsonBody, Path, QueryParams};
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::servers::{
    PinRequest, Server, ServerList, StartRequest, StartResponse, StopOptions,
};

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/servers", get(list).post(start_server)),
        ("/api/servers/{id}", get(show).delete(stop)),
        ("/api/servers/{id}/restart", post(restart)),
        ("/api/servers/{id}/pin", post(pin)),
        ("/api/servers/{id}/metrics", get(history::list_metrics)),
        ("/api/servers/{id}/requests", get(requests::list_requests)),
        (
            "/api/servers/{id}/requests/{request_id}/cancel",
            post(requests::cancel_request),
        ),
    ]
}

/// The server with this id, or the only one whose model or profile has this name.
async fn find(state: &GatewayState, id: &str) -> Result<ServerStatus, ApiProblem> {
    let servers = state.pool().servers().await?.all();
    if let Ok(id) = id.parse::<Uuid>() {
        let found = servers.into_iter().find(|server| server.record.id == id);
        return found.ok_or_else(|| not_found(&id.to_string()));
    }
    let described = convert::servers(&state.snapshot(), &servers);
    let found = servers
        .into_iter()
        .zip(described)
        .filter(|(_, server)| server.name == id || server.profiles.iter().any(|name| name == id))
        .map(|(server, _)| server);
    let (running, failed): (Vec<_>, Vec<_>) = found.partition(|server| server.failure.is_none());
    // A running server is meant rather than one of the model that failed with other settings.
    let named = if running.is_empty() { failed } else { running };
    let mut found = named.into_iter();
    match (found.next(), found.next()) {
        (Some(server), None) => Ok(server),
        (Some(first), Some(second)) => {
            let message = format!(
                "`{id}` is the name of several servers, such as {} and {}: use an id",
                first.record.id, second.record.id
            );
            Err(ApiProblem::field("id", "invalid_value", message))
        }
        (None, _) => Err(not_found(id)),
    }
}

fn not_found(id: &str) -> ApiProblem {
    ApiProblem::new(Code::SERVER_NOT_FOUND, format!("there is no server `{id}`"))
        .with_advice("`mlxm ps` lists the running models")
}

/// The server as it is now, or as it was if it is gone.
async fn described(state: &GatewayState, earlier: ServerStatus) -> Result<Server, ApiProblem> {
    let servers = state.pool().servers().await?.all();
    let id = earlier.record.id;
    let mut same = servers.into_iter().filter(|server| server.record.id == id);
    let server = same.next().unwrap_or(earlier);
    let mut described = convert::servers(&state.snapshot(), &[server]);
    described
        .pop()
        .ok_or_else(|| ApiProblem::new(Code::INTERNAL, "no server"))
}

/// Rejects to interrupt running requests.
fn check_idle(server: &ServerStatus, options: StopOptions) -> Result<(), ApiProblem> {
    if options.now || server.running == 0 {
        return Ok(());
    }
    let message = format!(
        "{} has {} running requests",
        server.record.name, server.running
    );
    let advice = "wait until they are complete, or add ?now=true: they then have 30 seconds";
    Err(ApiProblem::new(Code::SERVER_BUSY, message).with_advice(advice))
}

/// Lists the servers in the order of their starts, and then those that failed, until they are started again or stopped.
#[utoipa::path(
    get,
    path = "/api/servers",
    tag = "servers",
    operation_id = "list_servers",
    responses((status = 200, body = ServerList))
)]
pub async fn list(State(state): State<GatewayState>) -> Result<Json<ServerList>, ApiProblem> {
    let servers = state.pool().servers().await?.all();
    Ok(Json(ServerList {
        servers: convert::servers(&state.snapshot(), &servers),
    }))
}

/// Returns a server.
#[utoipa::path(
    get,
    path = "/api/servers/{id}",
    tag = "servers",
    operation_id = "get_server",
    params(("id" = String, Path, description = "Its id, or the name of its model or profile")),
    responses((status = 200, body = Server), (status = 404))
)]
pub async fn show(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<Server>, ApiProblem> {
    let server = find(&state, &id).await?;
    described(&state, server).await.map(Json)
}

/// Loads a model. The response does not wait until it is loaded: follow its state in the events.
#[utoipa::path(
    post,
    path = "/api/servers",
    tag = "servers",
    operation_id = "start_server",
    request_body = StartRequest,
    responses(
        (status = 200, description = "What would happen, after a dry run", body = StartResponse),
        (status = 202, description = "It starts, waits for memory, or is running already", body = StartResponse),
        (status = 404),
        (status = 409),
        (status = 429)
    )
)]
pub async fn start_server(
    State(state): State<GatewayState>,
    JsonBody(request): JsonBody<StartRequest>,
) -> Result<(StatusCode, Json<StartResponse>), ApiProblem> {
    let wanted = Wanted {
        profile: request.profile.as_deref(),
        model: request.model.as_deref(),
        settings: request.settings.as_ref(),
        ttl_seconds: request.ttl_seconds,
    };
    let resolved = resolve(&state, &wanted)?;
    if request.dry_run {
        let plan = plan_of(&state, &resolved.target, resolved.request(&state)).await?;
        return Ok((StatusCode::OK, Json(StartResponse { plan, server: None })));
    }
    let pinned = request.pin.unwrap_or(resolved.is_pinned);
    let response = start::start(&state, &resolved, pinned).await?;
    Ok((StatusCode::ACCEPTED, Json(response)))
}

/// Stops a server, which completes its running requests for up to 30 seconds. It is no longer pinned.
///
/// One that failed is no longer listed.
#[utoipa::path(
    delete,
    path = "/api/servers/{id}",
    tag = "servers",
    operation_id = "stop_server",
    params(("id" = String, Path, description = "Its id, or the name of its model or profile"), StopOptions),
    responses((status = 202, description = "It stops", body = Server), (status = 404), (status = 409))
)]
pub async fn stop(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    QueryParams(options): QueryParams<StopOptions>,
) -> Result<(StatusCode, Json<Server>), ApiProblem> {
    let server = find(&state, &id).await?;
    check_idle(&server, options)?;
    if !state.pool().stop(server.record.id).await? {
        return Err(not_found(&id));
    }
    Ok((StatusCode::ACCEPTED, Json(described(&state, server).await?)))
}

/// Stops a server and starts it again with the same settings, as another server.
#[utoipa::path(
    post,
    path = "/api/servers/{id}/restart",
    tag = "servers",
    operation_id = "restart_server",
    params(("id" = String, Path, description = "Its id, or the name of its model or profile"), StopOptions),
    responses(
        (status = 202, description = "It stops, and is started again then", body = Server),
        (status = 404),
        (status = 409)
    )
)]
pub async fn restart(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    QueryParams(options): QueryParams<StopOptions>,
) -> Result<(StatusCode, Json<Server>), ApiProblem> {
    let server = find(&state, &id).await?;
    check_idle(&server, options)?;
    start::restart(&state, &server).await?;
    Ok((StatusCode::ACCEPTED, Json(described(&state, server).await?)))
}

/// Keeps a server in memory, or no longer. A pinned server is not evicted, does not expire, and is started again after a crash.
#[utoipa::path(
    post,
    path = "/api/servers/{id}/pin",
    tag = "servers",
    operation_id = "pin_server",
    params(("id" = String, Path, description = "Its id, or the name of its model or profile")),
    request_body = PinRequest,
    responses((status = 200, body = Server), (status = 404))
)]
pub async fn pin(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<PinRequest>,
) -> Result<Json<Server>, ApiProblem> {
    let server = find(&state, &id).await?;
    let target = target::of_server(&server.record);
    if request.pinned {
        state.pool().retain(target, true).await?;
    } else {
        state.pool().forget(&target)?;
    }
    described(&state, server).await.map(Json)
}

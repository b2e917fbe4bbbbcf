//! `/api/aliases`: other names for profiles and models.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, delete, get};
use mlxm_store::aliases;

use crate::gateway::extract::{JsonBody, Path};
use crate::gateway::problem::ApiProblem;
use crate::gateway::{GatewayState, proxy};
use crate::wire::aliases::{Alias, AliasList, AliasRequest};
use crate::wire::events::{AliasEvent, Event};

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/aliases", get(list).post(set)),
        ("/api/aliases/{name}", delete(remove)),
    ]
}

impl From<aliases::Alias> for Alias {
    fn from(alias: aliases::Alias) -> Self {
        Self {
            id: alias.id,
            name: alias.name,
            target: alias.target,
            created_at_ms: alias.created_at_ms,
            updated_at_ms: alias.updated_at_ms,
        }
    }
}

/// Lists all aliases, by name.
#[utoipa::path(
    get,
    path = "/api/aliases",
    tag = "aliases",
    operation_id = "list_aliases",
    responses((status = 200, body = AliasList))
)]
pub async fn list(State(state): State<GatewayState>) -> Result<Json<AliasList>, ApiProblem> {
    let aliases = aliases::list(state.store()).await?;
    Ok(Json(AliasList {
        aliases: aliases.into_iter().map(Alias::from).collect(),
    }))
}

/// Adds an alias, or changes the target of the one with this name. The target may be downloaded or created later.
#[utoipa::path(
    post,
    path = "/api/aliases",
    tag = "aliases",
    operation_id = "set_alias",
    request_body = AliasRequest,
    responses((status = 200, body = Alias), (status = 409))
)]
pub async fn set(
    State(state): State<GatewayState>,
    JsonBody(request): JsonBody<AliasRequest>,
) -> Result<Json<Alias>, ApiProblem> {
    if let Err(error) = proxy::Alias::new(&request.name, &*request.target) {
        return Err(ApiProblem::field(
            "name",
            "invalid_value",
            error.to_string(),
        ));
    }
    let alias = Alias::from(aliases::set(state.store(), &request.name, &request.target).await?);
    state.refresh_catalog().await;
    state.bus().publish(Event::Aliases(AliasEvent::Changed {
        alias: alias.clone(),
    }));
    Ok(Json(alias))
}

/// Deletes an alias.
#[utoipa::path(
    delete,
    path = "/api/aliases/{name}",
    tag = "aliases",
    operation_id = "delete_alias",
    params(("name" = String, Path, description = "Its name, percent-encoded")),
    responses((status = 204, description = "It was deleted"), (status = 404))
)]
pub async fn remove(
    State(state): State<GatewayState>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiProblem> {
    aliases::delete(state.store(), &name).await?;
    state.refresh_catalog().await;
    state
        .bus()
        .publish(Event::Aliases(AliasEvent::Removed { name }));
    Ok(StatusCode::NO_CONTENT)
}

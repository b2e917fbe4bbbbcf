//! `/api/profiles`: saved configurations of models.
//!
//! - `convert`: between the store and the API. `validate`, `unique`: what is checked before a profile is stored.
//! - `modelfile`: profiles as Modelfiles of Ollama.

mod convert;
mod modelfile;
mod unique;
mod validate;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use mlxm_store::{Uuid, profiles};

pub use validate::{check_load, check_request};

use crate::gateway::GatewayState;
use crate::gateway::extract::{JsonBody, OptionalJsonBody, Path, QueryParams, from_value};
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::events::{Event, ProfileEvent};
use crate::wire::profiles::{
    DuplicateRequest, ExportQuery, ExportResponse, ImportRequest, ImportResponse, NextPort,
    Profile, ProfileConfig, ProfileFormat, ProfileList,
};

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/profiles", get(list).post(create)),
        ("/api/profiles/import", post(import)),
        ("/api/profiles/next-port", get(next_port)),
        ("/api/profiles/{id}", get(show).put(update).delete(remove)),
        ("/api/profiles/{id}/duplicate", post(duplicate)),
        ("/api/profiles/{id}/export", get(export)),
    ]
}

/// The profile with this id or name.
async fn find(state: &GatewayState, id: &str) -> Result<profiles::Profile, ApiProblem> {
    if let Ok(id) = id.parse::<Uuid>() {
        return Ok(profiles::get(state.store(), id).await?);
    }
    let found = profiles::find(state.store(), id).await?;
    found.ok_or_else(|| {
        ApiProblem::new(
            Code::PROFILE_NOT_FOUND,
            format!("there is no profile `{id}`"),
        )
        .with_advice("`mlxm profile list` lists the profiles")
    })
}

/// Makes a change of a profile visible to requests and to readers of events.
async fn changed(state: &GatewayState, profile: profiles::Profile) -> Profile {
    state.refresh_catalog().await;
    let profile = Profile::from(profile);
    state.bus().publish(Event::Profiles(ProfileEvent::Changed {
        profile: Box::new(profile.clone()),
    }));
    profile
}

async fn store_new(state: &GatewayState, config: ProfileConfig) -> Result<Profile, ApiProblem> {
    validate::check(&config)?;
    unique::check(state, &config, None).await?;
    let config = convert::to_stored(config, false);
    let profile = profiles::create(state.store(), config).await?;
    Ok(changed(state, profile).await)
}

/// Lists all profiles, by creation time.
#[utoipa::path(
    get,
    path = "/api/profiles",
    tag = "profiles",
    operation_id = "list_profiles",
    responses((status = 200, body = ProfileList))
)]
pub async fn list(State(state): State<GatewayState>) -> Result<Json<ProfileList>, ApiProblem> {
    let profiles = profiles::list(state.store()).await?;
    Ok(Json(ProfileList {
        profiles: profiles.into_iter().map(Profile::from).collect(),
    }))
}

/// Creates a profile. The model may be downloaded later.
#[utoipa::path(
    post,
    path = "/api/profiles",
    tag = "profiles",
    operation_id = "create_profile",
    request_body = ProfileConfig,
    responses((status = 201, body = Profile), (status = 409))
)]
pub async fn create(
    State(state): State<GatewayState>,
    JsonBody(config): JsonBody<ProfileConfig>,
) -> Result<(StatusCode, Json<Profile>), ApiProblem> {
    let profile = store_new(&state, config).await?;
    Ok((StatusCode::CREATED, Json(profile)))
}

/// Returns a profile.
#[utoipa::path(
    get,
    path = "/api/profiles/{id}",
    tag = "profiles",
    operation_id = "get_profile",
    params(("id" = String, Path, description = "Its id or name")),
    responses((status = 200, body = Profile), (status = 404))
)]
pub async fn show(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<Profile>, ApiProblem> {
    Ok(Json(find(&state, &id).await?.into()))
}

/// Replaces the configuration of a profile. Request settings apply to the next request; a server with the old load settings
/// keeps running until it is stopped or evicted.
#[utoipa::path(
    put,
    path = "/api/profiles/{id}",
    tag = "profiles",
    operation_id = "update_profile",
    params(("id" = String, Path, description = "Its id or name")),
    request_body = ProfileConfig,
    responses((status = 200, body = Profile), (status = 404), (status = 409))
)]
pub async fn update(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    JsonBody(config): JsonBody<ProfileConfig>,
) -> Result<Json<Profile>, ApiProblem> {
    let existing = find(&state, &id).await?;
    validate::check(&config)?;
    unique::check(&state, &config, Some(&existing)).await?;
    let config = convert::to_stored(config, existing.config.service_installed);
    let profile = profiles::update(state.store(), existing.id, config).await?;
    Ok(Json(changed(&state, profile).await))
}

/// Deletes a profile. A server that was started from it keeps running.
#[utoipa::path(
    delete,
    path = "/api/profiles/{id}",
    tag = "profiles",
    operation_id = "delete_profile",
    params(("id" = String, Path, description = "Its id or name")),
    responses((status = 204, description = "It was deleted"), (status = 404))
)]
pub async fn remove(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiProblem> {
    let id = find(&state, &id).await?.id;
    profiles::delete(state.store(), id).await?;
    state.refresh_catalog().await;
    state
        .bus()
        .publish(Event::Profiles(ProfileEvent::Removed { id }));
    Ok(StatusCode::NO_CONTENT)
}

/// Copies a profile. The copy has no port of its own, another color, is not pinned, and is not started with the gateway.
#[utoipa::path(
    post,
    path = "/api/profiles/{id}/duplicate",
    tag = "profiles",
    operation_id = "duplicate_profile",
    params(("id" = String, Path, description = "Its id or name")),
    request_body = DuplicateRequest,
    responses((status = 201, body = Profile), (status = 404), (status = 409))
)]
pub async fn duplicate(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    OptionalJsonBody(request): OptionalJsonBody<DuplicateRequest>,
) -> Result<(StatusCode, Json<Profile>), ApiProblem> {
    let original = ProfileConfig::from(find(&state, &id).await?.config);
    let name = match request.name {
        Some(name) => name,
        None => free_name(&profiles::list(state.store()).await?, &original.name),
    };
    let copy = ProfileConfig {
        name,
        port: None,
        color: None,
        is_pinned: false,
        auto_start: false,
        ..original
    };
    let profile = store_new(&state, copy).await?;
    Ok((StatusCode::CREATED, Json(profile)))
}

/// The first of `NAME copy`, `NAME copy 2`, … that no profile has.
fn free_name(all: &[profiles::Profile], name: &str) -> String {
    let is_free = |name: &String| unique::check_name(all, name, None).is_ok();
    let numbered = (2..).map(|number: u32| format!("{name} copy {number}"));
    let mut names = std::iter::once(format!("{name} copy")).chain(numbered);
    names.find(is_free).unwrap_or_default()
}

/// Returns the first port, from the setting `profiles.first_port`, that no profile has and no program listens on.
#[utoipa::path(
    get,
    path = "/api/profiles/next-port",
    tag = "profiles",
    operation_id = "next_profile_port",
    responses((status = 200, body = NextPort), (status = 409))
)]
pub async fn next_port(State(state): State<GatewayState>) -> Result<Json<NextPort>, ApiProblem> {
    let all = profiles::list(state.store()).await?;
    let port = unique::next_port(&state, &all).await.ok_or_else(|| {
        ApiProblem::new(Code::CONFLICT, "no port is free")
            .with_advice("lower the setting profiles.first_port")
    })?;
    Ok(Json(NextPort { port }))
}

/// Creates a profile from text: JSON as it was exported, or a Modelfile of Ollama.
#[utoipa::path(
    post,
    path = "/api/profiles/import",
    tag = "profiles",
    operation_id = "import_profile",
    request_body = ImportRequest,
    responses((status = 201, body = ImportResponse), (status = 409))
)]
pub async fn import(
    State(state): State<GatewayState>,
    JsonBody(request): JsonBody<ImportRequest>,
) -> Result<(StatusCode, Json<ImportResponse>), ApiProblem> {
    let (config, warnings) = match request.format {
        ProfileFormat::Json => (from_json(&request.content)?, Vec::new()),
        ProfileFormat::Modelfile => {
            let snapshot = state.snapshot();
            let is_local = |name: &str| snapshot.models.iter().any(|model| model.name == name);
            modelfile::import(&request.content, is_local)?
        }
    };
    let config = ProfileConfig {
        name: request.name,
        ..config
    };
    let profile = store_new(&state, config).await?;
    Ok((
        StatusCode::CREATED,
        Json(ImportResponse { profile, warnings }),
    ))
}

fn from_json(content: &str) -> Result<ProfileConfig, ApiProblem> {
    let value = serde_json::from_str(content).map_err(|error| {
        ApiProblem::field("content", "invalid_value", format!("is not JSON: {error}"))
    })?;
    from_value(value)
}

/// Exports a profile as text.
#[utoipa::path(
    get,
    path = "/api/profiles/{id}/export",
    tag = "profiles",
    operation_id = "export_profile",
    params(("id" = String, Path, description = "Its id or name"), ExportQuery),
    responses((status = 200, body = ExportResponse), (status = 404))
)]
pub async fn export(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    QueryParams(query): QueryParams<ExportQuery>,
) -> Result<Json<ExportResponse>, ApiProblem> {
    let config = ProfileConfig::from(find(&state, &id).await?.config);
    Ok(Json(match query.format {
        ProfileFormat::Json => ExportResponse {
            content: serde_json::to_string_pretty(&config)
                .map_err(|error| ApiProblem::new(Code::INTERNAL, error.to_string()))?,
            warnings: Vec::new(),
        },
        ProfileFormat::Modelfile => modelfile::export(&config),
    }))
}

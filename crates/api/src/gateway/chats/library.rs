//! `/api/personas` and `/api/prompts`: what a user chooses instead of writing it again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get};
use mlxm_store::{personas, prompts};

use super::{OWNER, conversations, ids};
use crate::gateway::GatewayState;
use crate::gateway::extract::{JsonBody, Path};
use crate::gateway::problem::ApiProblem;
use crate::wire::library::{Persona, PersonaConfig, PersonaList, Prompt, PromptConfig, PromptList};

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![
        ("/api/personas", get(list_personas).post(create_persona)),
        (
            "/api/personas/{id}",
            get(show_persona).put(update_persona).delete(remove_persona),
        ),
        ("/api/prompts", get(list_prompts).post(create_prompt)),
        (
            "/api/prompts/{id}",
            get(show_prompt).put(update_prompt).delete(remove_prompt),
        ),
    ]
}

/// # Errors
/// If a setting is not valid, or the system prompt is among them.
fn checked(config: PersonaConfig) -> Result<PersonaConfig, ApiProblem> {
    Ok(PersonaConfig {
        settings: conversations::checked(config.settings)?,
        ..config
    })
}

/// Lists all personas, by name.
#[utoipa::path(
    get,
    path = "/api/personas",
    tag = "chats",
    operation_id = "list_personas",
    responses((status = 200, body = PersonaList))
)]
pub async fn list_personas(
    State(state): State<GatewayState>,
) -> Result<Json<PersonaList>, ApiProblem> {
    let personas = personas::list(state.chats().stored(), OWNER).await?;
    Ok(Json(PersonaList {
        personas: personas.into_iter().map(Persona::from).collect(),
    }))
}

/// Creates a persona.
#[utoipa::path(
    post,
    path = "/api/personas",
    tag = "chats",
    operation_id = "create_persona",
    request_body = PersonaConfig,
    responses((status = 201, body = Persona), (status = 409))
)]
pub async fn create_persona(
    State(state): State<GatewayState>,
    JsonBody(config): JsonBody<PersonaConfig>,
) -> Result<(StatusCode, Json<Persona>), ApiProblem> {
    let config = checked(config)?;
    let persona = personas::create(state.chats().stored(), OWNER, config.into()).await?;
    Ok((StatusCode::CREATED, Json(persona.into())))
}

/// Returns a persona.
#[utoipa::path(
    get,
    path = "/api/personas/{id}",
    tag = "chats",
    operation_id = "get_persona",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Persona), (status = 404))
)]
pub async fn show_persona(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<Persona>, ApiProblem> {
    let id = ids::persona(&id)?;
    let persona = personas::get(state.chats().stored(), OWNER, id).await?;
    Ok(Json(persona.into()))
}

/// Replaces a persona. Its chats use the new settings from the next message on.
#[utoipa::path(
    put,
    path = "/api/personas/{id}",
    tag = "chats",
    operation_id = "update_persona",
    params(("id" = Uuid, Path)),
    request_body = PersonaConfig,
    responses((status = 200, body = Persona), (status = 404), (status = 409))
)]
pub async fn update_persona(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    JsonBody(config): JsonBody<PersonaConfig>,
) -> Result<Json<Persona>, ApiProblem> {
    let id = ids::persona(&id)?;
    let config = checked(config)?;
    let persona = personas::update(state.chats().stored(), OWNER, id, config.into()).await?;
    Ok(Json(persona.into()))
}

/// Deletes a persona. Its chats continue without one.
#[utoipa::path(
    delete,
    path = "/api/personas/{id}",
    tag = "chats",
    operation_id = "delete_persona",
    params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404))
)]
pub async fn remove_persona(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiProblem> {
    let id = ids::persona(&id)?;
    personas::delete(state.chats().stored(), OWNER, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists all prompts, by name, with their variables.
#[utoipa::path(
    get,
    path = "/api/prompts",
    tag = "chats",
    operation_id = "list_prompts",
    responses((status = 200, body = PromptList))
)]
pub async fn list_prompts(
    State(state): State<GatewayState>,
) -> Result<Json<PromptList>, ApiProblem> {
    let prompts = prompts::list(state.chats().stored(), OWNER).await?;
    Ok(Json(PromptList {
        prompts: prompts.into_iter().map(Prompt::from).collect(),
    }))
}

/// Creates a prompt.
#[utoipa::path(
    post,
    path = "/api/prompts",
    tag = "chats",
    operation_id = "create_prompt",
    request_body = PromptConfig,
    responses((status = 201, body = Prompt), (status = 409))
)]
pub async fn create_prompt(
    State(state): State<GatewayState>,
    JsonBody(config): JsonBody<PromptConfig>,
) -> Result<(StatusCode, Json<Prompt>), ApiProblem> {
    let prompt = prompts::create(state.chats().stored(), OWNER, config.into()).await?;
    Ok((StatusCode::CREATED, Json(prompt.into())))
}

/// Returns a prompt.
#[utoipa::path(
    get,
    path = "/api/prompts/{id}",
    tag = "chats",
    operation_id = "get_prompt",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Prompt), (status = 404))
)]
pub async fn show_prompt(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<Json<Prompt>, ApiProblem> {
    let id = ids::prompt(&id)?;
    let prompt = prompts::get(state.chats().stored(), OWNER, id).await?;
    Ok(Json(prompt.into()))
}

/// Replaces a prompt.
#[utoipa::path(
    put,
    path = "/api/prompts/{id}",
    tag = "chats",
    operation_id = "update_prompt",
    params(("id" = Uuid, Path)),
    request_body = PromptConfig,
    responses((status = 200, body = Prompt), (status = 404), (status = 409))
)]
pub async fn update_prompt(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
    JsonBody(config): JsonBody<PromptConfig>,
) -> Result<Json<Prompt>, ApiProblem> {
    let id = ids::prompt(&id)?;
    let prompt = prompts::update(state.chats().stored(), OWNER, id, config.into()).await?;
    Ok(Json(prompt.into()))
}

/// Deletes a prompt.
#[utoipa::path(
    delete,
    path = "/api/prompts/{id}",
    tag = "chats",
    operation_id = "delete_prompt",
    params(("id" = Uuid, Path)),
    responses((status = 204), (status = 404))
)]
pub async fn remove_prompt(
    State(state): State<GatewayState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiProblem> {
    let id = ids::prompt(&id)?;
    prompts::delete(state.chats().stored(), OWNER, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

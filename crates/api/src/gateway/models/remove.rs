//! Removes models from this machine, and finds damaged ones.

use axum::Json;
use axum::extract::State;
use mlxm_hub::LocalModel;

use super::local::source;
use crate::gateway::GatewayState;
use crate::gateway::extract::{Path, QueryParams};
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::downloads::DownloadState;
use crate::wire::models::{ModelSource, RemoveOptions, RemovedModel, VerifiedModel};

/// Removes a model from this machine. One that a profile, a server or a download uses is removed only with `force`, which also
/// stops the servers.
#[utoipa::path(
    delete,
    path = "/api/models/{id}",
    tag = "models",
    operation_id = "remove_model",
    params(("id" = String, Path, description = "Its name, with %2F for a slash"), RemoveOptions),
    responses((status = 200, body = RemovedModel), (status = 404), (status = 409))
)]
pub async fn remove(
    State(state): State<GatewayState>,
    Path(name): Path<String>,
    QueryParams(options): QueryParams<RemoveOptions>,
) -> Result<Json<RemovedModel>, ApiProblem> {
    let model = find(&state, &name)?;
    if source(&model, state.hub().config()) == ModelSource::External {
        let detail =
            format!("{name} is in the directory of another program, which is never changed");
        return Err(ApiProblem::new(Code::CONFLICT, detail).with_advice(
            "remove it with that program, or its directory from the setting `models.folders`",
        ));
    }
    let servers: Vec<_> = state
        .pool()
        .servers()
        .await?
        .servers
        .into_iter()
        .filter(|server| model.path.as_ref() == Some(&server.record.settings.model))
        .collect();
    if !options.force {
        let running = servers
            .iter()
            .map(|server| format!("server {} ({} requests)", server.record.id, server.running));
        let users: Vec<String> = running.chain(references(&state, &name).await?).collect();
        if !users.is_empty() {
            let detail = format!("{name} is used by {}", users.join(", "));
            return Err(ApiProblem::new(Code::MODEL_BUSY, detail)
                .with_advice("stop or change them first, or add ?force=true"));
        }
    }
    for server in &servers {
        state.pool().stop(server.record.id).await?;
    }
    let (hub, revision) = (state.hub().clone(), options.revision);
    let removed = tokio::task::spawn_blocking(move || hub.remove(&model.name, revision.as_deref()))
        .await
        .map_err(|error| ApiProblem::new(Code::INTERNAL, error.to_string()))??;
    state.refresh_catalog().await;
    Ok(Json(RemovedModel {
        name: removed.name,
        freed_bytes: removed.bytes_freed,
    }))
}

/// Checks the files of a model, which reads all of them.
#[utoipa::path(
    post,
    path = "/api/models/{id}/verify",
    tag = "models",
    operation_id = "verify_model",
    params(("id" = String, Path, description = "Its name, with %2F for a slash")),
    responses((status = 200, body = VerifiedModel), (status = 404))
)]
pub async fn verify(
    State(state): State<GatewayState>,
    Path(name): Path<String>,
) -> Result<Json<VerifiedModel>, ApiProblem> {
    let model = find(&state, &name)?;
    let verified = tokio::task::spawn_blocking(move || model.verify())
        .await
        .map_err(|error| ApiProblem::new(Code::INTERNAL, error.to_string()))??;
    Ok(Json(VerifiedModel {
        name: verified.name,
        intact: verified.damaged_files.is_empty(),
        checked_bytes: verified.checked_bytes,
        damaged: verified.damaged_files,
    }))
}

fn find(state: &GatewayState, name: &str) -> Result<LocalModel, ApiProblem> {
    let snapshot = state.snapshot();
    let found = snapshot.models.iter().find(|model| model.name == name);
    found.cloned().ok_or_else(|| {
        let detail = format!("there is no model `{name}` on this machine");
        ApiProblem::new(Code::MODEL_NOT_FOUND, detail).with_advice("`mlxm list` shows the models")
    })
}

/// Profiles and downloads of a model.
async fn references(state: &GatewayState, name: &str) -> Result<Vec<String>, ApiProblem> {
    let snapshot = state.snapshot();
    let profiles = snapshot
        .profiles
        .iter()
        .filter(|profile| profile.config.model == name)
        .map(|profile| format!("profile {}", profile.config.name));
    let mut references: Vec<String> = profiles.collect();
    let is_over = |download_state: DownloadState| {
        matches!(
            download_state,
            DownloadState::Done | DownloadState::Failed | DownloadState::Cancelled
        )
    };
    let downloads = state.downloads().list().await?;
    let unfinished = downloads
        .iter()
        .filter(|download| download.repo_id == name && !is_over(download.state))
        .map(|download| format!("download {}", download.id));
    references.extend(unfinished);
    Ok(references)
}

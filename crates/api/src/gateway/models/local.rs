//! Models on this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use mlxm_hub::{HubConfig, LocalRevision};

use super::characteristics;
use crate::gateway::problem::{ApiProblem, Code};
use crate::gateway::{GatewayState, Snapshot};
use crate::wire::models::{LocalModel, ModelList, ModelRevision, ModelSource};

/// Lists the models on this machine by name, also incomplete ones.
#[utoipa::path(
    get,
    path = "/api/models/local",
    tag = "models",
    operation_id = "list_local_models",
    responses((status = 200, body = ModelList))
)]
pub async fn list(State(state): State<GatewayState>) -> Result<Json<ModelList>, ApiProblem> {
    let names: Vec<String> = state
        .snapshot()
        .models
        .iter()
        .map(|model| model.name.clone())
        .collect();
    let models = describe(&state, names).await?;
    Ok(Json(ModelList { models }))
}

/// Describes the local models with these names; those that are not here are left out.
///
/// # Errors
/// If the gateway exits.
pub async fn describe(
    state: &GatewayState,
    names: Vec<String>,
) -> Result<Vec<LocalModel>, ApiProblem> {
    let loaded: BTreeSet<PathBuf> = state
        .pool()
        .servers()
        .await?
        .servers
        .into_iter()
        .map(|server| server.record.settings.model)
        .collect();
    let (snapshot, config) = (state.snapshot(), state.hub().config().clone());
    // Reads configurations and headers.
    tokio::task::spawn_blocking(move || {
        let models = names.iter().filter_map(|name| {
            let model = snapshot.models.iter().find(|model| model.name == *name)?;
            Some(to_wire(model, &snapshot, &config, &loaded))
        });
        models.collect()
    })
    .await
    .map_err(|error| ApiProblem::new(Code::INTERNAL, error.to_string()))
}

fn to_wire(
    model: &mlxm_hub::LocalModel,
    snapshot: &Snapshot,
    config: &HubConfig,
    loaded: &BTreeSet<PathBuf>,
) -> LocalModel {
    let path = model.path.as_deref();
    let profiles = snapshot
        .profiles
        .iter()
        .filter(|profile| profile.config.model == model.name);
    LocalModel {
        name: model.name.clone(),
        source: source(model, config),
        path: path.map(|path| path.to_string_lossy().into_owned()),
        size_bytes: model.size_bytes,
        modified_at_ms: milliseconds(model.last_modified),
        complete: model.complete,
        missing_files: model.missing_files.clone(),
        revisions: model.revisions.iter().map(revision).collect(),
        loaded: path.is_some_and(|path| loaded.contains(path)),
        profiles: profiles
            .map(|profile| profile.config.name.clone())
            .collect(),
        characteristics: path.and_then(|path| characteristics::of_directory(&model.name, path)),
    }
}

/// Where a model is. Configured directories are those of other programs.
pub fn source(model: &mlxm_hub::LocalModel, config: &HubConfig) -> ModelSource {
    let is_in = |folder: &Path| {
        let path = model.path.as_deref();
        path.is_none_or(|path| path.starts_with(folder))
    };
    match model.source {
        mlxm_hub::LocalSource::HubCache if is_in(&config.cache_dir) => ModelSource::HubCache,
        mlxm_hub::LocalSource::ModelsDir if is_in(&config.models_dir) => ModelSource::ModelsDir,
        _ => ModelSource::External,
    }
}

fn revision(revision: &LocalRevision) -> ModelRevision {
    ModelRevision {
        commit: revision.commit.clone(),
        refs: revision.refs.clone(),
        size_bytes: revision.size_bytes,
        complete: revision.complete,
        modified_at_ms: milliseconds(revision.last_modified),
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

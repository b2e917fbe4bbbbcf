//! All about one model.

use std::fs;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use mlxm_gateway::{CacheSize, LoadSettings};
use mlxm_hub::{HubError, ModelSummary, RepoFile, RepoId, RepoInfo};

use super::local::describe;
use super::search::remote;
use crate::gateway::GatewayState;
use crate::gateway::extract::Path;
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::models::{LocalModel, ModelDetails, ModelFile};
use crate::wire::pool::ServerSize;

/// Longest wait for the hub about a model that is on this machine.
const HUB_TIMEOUT: Duration = Duration::from_secs(10);
/// A longer model card is cut.
const MAX_README_BYTES: usize = 256 << 10;
const README: &str = "README.md";

/// Describes a model on this machine or on the hub, with its model card. If the hub cannot be reached, what it says is left out
/// for a model on this machine.
#[utoipa::path(
    get,
    path = "/api/models/{id}",
    tag = "models",
    operation_id = "get_model",
    params(("id" = String, Path, description = "Its name, with %2F for a slash")),
    responses((status = 200, body = ModelDetails), (status = 404), (status = 502))
)]
pub async fn show(
    State(state): State<GatewayState>,
    Path(name): Path<String>,
) -> Result<Json<ModelDetails>, ApiProblem> {
    let local = describe(&state, vec![name.clone()]).await?.pop();
    let on_hub = match RepoId::with_owner(&name) {
        Some(repo) => tokio::time::timeout(HUB_TIMEOUT, from_hub(&state, &repo)).await,
        None => Ok(Err(not_found(&name))),
    };
    let on_hub = on_hub.unwrap_or_else(|_| {
        let seconds = HUB_TIMEOUT.as_secs();
        let detail = format!("the hub did not respond within {seconds} s");
        Err(ApiProblem::new(Code::HUB_UNREACHABLE, detail))
    });
    match (local, on_hub) {
        (None, Err(problem)) => Err(problem),
        (local, on_hub) => Ok(Json(details(&state, name, local, on_hub.ok()).await)),
    }
}

fn not_found(name: &str) -> ApiProblem {
    let detail = format!("there is no model `{name}` on this machine");
    ApiProblem::new(Code::MODEL_NOT_FOUND, detail)
        .with_advice("`mlxm list` shows the models here, and `mlxm search` those on the hub")
}

/// What the hub says.
struct OnHub {
    info: RepoInfo,
    readme: Option<String>,
}

async fn from_hub(state: &GatewayState, repo: &RepoId) -> Result<OnHub, ApiProblem> {
    let hub = state.hub();
    let info = hub.model_info(repo, None).await?;
    let readme = match hub
        .read_text(&info.repo, &info.commit, README, MAX_README_BYTES)
        .await
    {
        Ok(text) => Some(text),
        Err(HubError::FileNotFound { .. }) => None,
        Err(error) => {
            tracing::debug!(%repo, %error, "a model card cannot be read");
            None
        }
    };
    Ok(OnHub { info, readme })
}

async fn details(
    state: &GatewayState,
    name: String,
    local: Option<LocalModel>,
    on_hub: Option<OnHub>,
) -> ModelDetails {
    let snapshot = state.snapshot();
    let path = local.as_ref().and_then(|model| model.path.clone());
    let is_complete = local.as_ref().is_some_and(|model| model.complete);
    let (mut files, mut readme, mut remote_model) = (Vec::new(), None, None);
    if let Some(OnHub { info, readme: card }) = on_hub {
        files = info.files.iter().map(file).collect();
        remote_model = Some(remote(summary(info), &snapshot));
        readme = card;
    }
    let mut sizes = Vec::new();
    if let Some(path) = path {
        if is_complete {
            sizes = plans(state, &path).await;
        }
        if readme.is_none() {
            readme = local_readme(state, &name).await;
        }
        if files.is_empty() {
            files = files_in(path).await;
        }
    }
    let of_local = local
        .as_ref()
        .and_then(|model| model.characteristics.clone());
    let of_remote = || {
        let remote = remote_model.as_ref();
        remote.map(|model| model.characteristics.clone())
    };
    ModelDetails {
        name,
        characteristics: of_local.or_else(of_remote),
        local,
        remote: remote_model,
        files,
        sizes,
        readme,
    }
}

fn file(file: &RepoFile) -> ModelFile {
    ModelFile {
        path: file.path.clone(),
        size_bytes: file.size_bytes,
    }
}

/// The model card of a local model; downloads leave it out unless it is requested.
async fn local_readme(state: &GatewayState, name: &str) -> Option<String> {
    let snapshot = state.snapshot();
    let model = snapshot.models.iter().find(|model| model.name == name)?;
    let model = model.clone();
    let read =
        tokio::task::spawn_blocking(move || model.read_text(README, MAX_README_BYTES as u64));
    let text = read.await.ok()?;
    text.inspect_err(|error| tracing::debug!(name, %error, "a model card cannot be read"))
        .ok()
}

/// The files of a directory by name, without those in directories.
async fn files_in(path: String) -> Vec<ModelFile> {
    let read = tokio::task::spawn_blocking(move || {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut files: Vec<ModelFile> = entries
            .filter_map(|entry| {
                // Files in the cache are symbolic links.
                let metadata = fs::metadata(entry.path()).ok()?;
                metadata.is_file().then(|| ModelFile {
                    path: entry.file_name().to_string_lossy().into_owned(),
                    size_bytes: metadata.len(),
                })
            })
            .collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files
    });
    read.await.unwrap_or_default()
}

/// Sizes of the cache that a model can be loaded with; none if it cannot be loaded.
async fn plans(state: &GatewayState, path: &str) -> Vec<ServerSize> {
    let description = state.pool().describe(&LoadSettings::new(path)).await;
    let sizes = description.ok().and_then(|description| {
        let sizes = description.get("memory")?.get("cache_sizes")?.clone();
        serde_json::from_value::<Vec<CacheSize>>(sizes).ok()
    });
    let sizes = sizes.unwrap_or_default();
    sizes.into_iter().map(ServerSize::from).collect()
}

fn summary(info: RepoInfo) -> ModelSummary {
    let weights = info
        .files
        .iter()
        .filter(|file| file.path.ends_with(".safetensors"));
    ModelSummary {
        weights_bytes: Some(weights.map(|file| file.size_bytes).sum()),
        repo: info.repo.to_string(),
        downloads: None,
        likes: None,
        last_modified: info.last_modified,
        pipeline_tag: info.pipeline_tag,
        library: info.library,
        tags: info.tags,
        gated: info.gated,
        private: info.private,
    }
}

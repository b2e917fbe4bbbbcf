//! What a run waits for: the download of its model, or a server.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use mlxm_gateway::{LoadSettings, ServerEvent, ServerState, ServerStatus};
use mlxm_store::Uuid;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};

use super::cell::RunCell;
use crate::gateway::GatewayState;
use crate::gateway::events::parse_topics;
use crate::gateway::problem::{ApiProblem, Code};
use crate::gateway::proxy::{Target, TargetError};
use crate::gateway::workers::{LoadSettingsError, load_settings};
use crate::wire::downloads::{Download, DownloadState};
use crate::wire::runs::{RunEventKind, Waiting, WaitingFor};

/// A server that is ready is not waited for so long.
const QUIET: Duration = Duration::from_millis(100);

/// Longest time without a look at the queue of downloads: its events are only the reason to look at once.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The model or profile with this name, or what the alias stands for. While the model is being downloaded, waits for it.
///
/// # Errors
/// If the model is not here, and it is not being downloaded or its download has ended without it.
pub async fn model(state: &GatewayState, cell: &RunCell, name: &str) -> Result<Target, ApiProblem> {
    // Before the first look, so that no change is missed. Progress is only published while someone reads it.
    let topics = parse_topics("downloads,models").unwrap_or_default();
    let mut changes = state.bus().subscribe(topics, None);
    let mut last = None;
    let mut was_refreshed = false;
    loop {
        let Missing { repository, reason } = match find(state, name) {
            Ok(target) => return Ok(target),
            Err(missing) => missing,
        };
        let downloads = state.downloads().list().await?;
        let Some(download) = download_of(&downloads, &repository) else {
            return Err(not_found(&reason));
        };
        match download.state {
            DownloadState::Done if !was_refreshed => {
                was_refreshed = true;
                state.refresh_catalog().await;
                continue;
            }
            DownloadState::Done => return Err(not_found(&reason)),
            DownloadState::Failed | DownloadState::Cancelled => {
                return Err(download_ended(download));
            }
            _ => {}
        }
        let waiting = Waiting {
            resource: WaitingFor::Download,
            done: Some(download.done_bytes),
            of: download.total_bytes,
            holder: None,
        };
        report(cell, &mut last, waiting);
        match timeout(LOOK_INTERVAL, changes.next()).await {
            Ok(Some(_)) | Err(_) => {}
            // The gateway exits, and ends the run.
            Ok(None) => sleep(LOOK_INTERVAL).await,
        }
    }
}

/// A model that is not on this machine.
struct Missing {
    /// What has to be downloaded.
    repository: String,
    /// Why the request fails if it is not.
    reason: String,
}

/// What a request names, if its model is here: profiles and aliases are there without it.
fn find(state: &GatewayState, name: &str) -> Result<Target, Missing> {
    let error = match state.catalog().resolve(Some(name)) {
        Ok(target) if state.snapshot().directory(&target.model).is_some() => return Ok(target),
        Ok(Target { model, .. }) => {
            return Err(Missing {
                repository: model.clone(),
                reason: LoadSettingsError::NoModel { model }.to_string(),
            });
        }
        Err(error) => error,
    };
    let repository = match &error {
        TargetError::NoAliasTarget { target, .. } => target.as_str(),
        _ => name,
    };
    Err(Missing {
        repository: repository.to_owned(),
        reason: error.to_string(),
    })
}

/// The newest download of a repository.
fn download_of<'a>(downloads: &'a [Download], repository: &str) -> Option<&'a Download> {
    downloads
        .iter()
        .filter(|download| download.repo_id.eq_ignore_ascii_case(repository))
        .max_by_key(|download| (has_not_ended(download), download.created_at_ms))
}

fn has_not_ended(download: &Download) -> bool {
    !matches!(
        download.state,
        DownloadState::Done | DownloadState::Failed | DownloadState::Cancelled
    )
}

fn not_found(reason: &str) -> ApiProblem {
    ApiProblem::new(Code::MODEL_NOT_FOUND, reason)
        .with_advice("choose another model, or download this one")
}

fn download_ended(download: &Download) -> ApiProblem {
    let reason = match (&download.error, download.state) {
        (Some(error), _) => format!("failed: {error}"),
        (None, DownloadState::Cancelled) => "was cancelled".to_owned(),
        (None, _) => "failed".to_owned(),
    };
    let detail = format!("the download of {} {reason}", download.repo_id);
    ApiProblem::new(Code::MODEL_NOT_FOUND, detail)
        .with_advice("resume the download, and regenerate the response")
}

/// Reports what the request for a target waits for, until it is dropped.
pub async fn report_server(state: &GatewayState, cell: &RunCell, target: &Target) -> Infallible {
    let mut events = state.pool().events();
    let mut loading = BTreeMap::new();
    let mut last = None;
    sleep(QUIET).await;
    loop {
        if let Some(waiting) = server(state, target, &loading).await {
            report(cell, &mut last, waiting);
        }
        match events.recv().await {
            Ok(ServerEvent::Loading {
                id,
                loaded_bytes,
                total_bytes,
            }) => {
                loading.insert(id, (loaded_bytes, total_bytes));
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// What a request for a target waits for as of now; `None` if that is not known.
async fn server(
    state: &GatewayState,
    target: &Target,
    loading: &BTreeMap<Uuid, (u64, u64)>,
) -> Option<Waiting> {
    let snapshot = state.snapshot();
    let profile = snapshot.profile_of(target);
    let settings = load_settings(&snapshot, &target.model, profile).ok()?;
    let servers = state.pool().servers().await.ok()?.servers;
    Some(waiting_for(&servers, &settings, loading))
}

fn waiting_for(
    servers: &[ServerStatus],
    settings: &LoadSettings,
    loading: &BTreeMap<Uuid, (u64, u64)>,
) -> Waiting {
    let own = servers
        .iter()
        .filter(|server| server.record.settings == *settings)
        .max_by_key(|server| server.record.started_at_ms);
    let waiting = |resource| Waiting {
        resource,
        done: None,
        of: None,
        holder: None,
    };
    match own.map(|server| (server.record.id, server.record.state)) {
        Some((_, ServerState::Ready)) => waiting(WaitingFor::Queue),
        Some((id, ServerState::Starting | ServerState::Restarting | ServerState::Unhealthy)) => {
            let bytes = loading.get(&id);
            Waiting {
                done: bytes.map(|(done, _)| *done),
                of: bytes.map(|(_, of)| *of),
                ..waiting(WaitingFor::Start)
            }
        }
        _ => Waiting {
            holder: holders(servers),
            ..waiting(WaitingFor::Memory)
        },
    }
}

/// The models in memory, busy ones alone if there are any.
fn holders(servers: &[ServerStatus]) -> Option<String> {
    let is_any_busy = servers.iter().any(|server| server.running > 0);
    let names: Vec<&str> = servers
        .iter()
        .filter(|server| server.running > 0 || !is_any_busy)
        .map(|server| server.record.name.as_str())
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn report(cell: &RunCell, last: &mut Option<Waiting>, waiting: Waiting) {
    if last.as_ref() == Some(&waiting) {
        return;
    }
    cell.emit(RunEventKind::Waiting {
        resource: waiting.resource,
        done: waiting.done,
        of: waiting.of,
        holder: waiting.holder.clone(),
    });
    *last = Some(waiting);
}

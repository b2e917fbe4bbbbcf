//! Downloads a snapshot: plan, transfer, publish.

mod lock;
mod partial_file;
mod plan;
mod transfer;
mod weights;

use std::collections::HashSet;
use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::config::HubConfig;
use crate::error::HubError;
use crate::filter::FileFilter;
use crate::info::WeightsKind;
use crate::layout::{BlobUse, RepoFolder, create_dir, is_safe_relative_path};
use crate::progress::{ProgressHandler, PullEvent};
use crate::repo_id::RepoId;

pub(crate) use partial_file::Hasher;
use plan::{Plan, PlannedFile};
use transfer::{FetchedFile, Transfer};

const DEFAULT_PARALLEL: usize = 4;
const DEFAULT_REVISION: &str = "main";
/// Linked last, because its presence marks a loadable model.
const ENTRY_FILE: &str = "config.json";

/// Parameters of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// The repository.
    pub repo: RepoId,
    /// A branch, tag or commit; `None` is `main`.
    pub revision: Option<String>,
    /// Files to download.
    pub files: FileFilter,
    /// Number of parallel downloads, at least one.
    pub parallel: usize,
    /// Free disk space that other downloads will need, in bytes.
    pub reserved_bytes: u64,
}

impl PullRequest {
    /// The files needed to run the model, at `main`.
    #[must_use]
    pub fn new(repo: RepoId) -> Self {
        Self {
            repo,
            revision: None,
            files: FileFilter::default(),
            parallel: DEFAULT_PARALLEL,
            reserved_bytes: 0,
        }
    }
}

/// Result of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledModel {
    /// Snapshot directory to load.
    pub snapshot: PathBuf,
    /// Commit hash.
    pub commit: String,
    /// Bytes received over the network, including repeated transfers.
    pub bytes_downloaded: u64,
    /// Bytes that were already on disk.
    pub bytes_reused: u64,
}

pub(crate) async fn pull(
    api: &Api,
    config: &HubConfig,
    request: &PullRequest,
    progress: &dyn ProgressHandler,
    cancel: &CancellationToken,
) -> Result<PulledModel, HubError> {
    let repo = &request.repo;
    let revision = request.revision.as_deref();
    if let Some(revision) = revision.filter(|revision| !is_safe_relative_path(revision)) {
        return Err(HubError::RevisionNotFound {
            repo: repo.to_string(),
            revision: revision.to_owned(),
        });
    }
    let folder = RepoFolder::new(&config.cache_dir, repo);
    let planning = async {
        let info = api.model_info(repo, revision).await?;
        let kind = info.weights_kind();
        if kind != WeightsKind::Safetensors && !request.files.is_explicit() {
            return Err(HubError::UnsupportedWeights {
                repo: repo.to_string(),
                kind,
            });
        }
        let mut wanted = request.files.select(&info.files)?;
        if !request.files.is_explicit() {
            weights::remove_left_over(api, repo, &info.commit, &mut wanted).await?;
        }
        if wanted.is_empty() {
            return Err(HubError::NoMatchingFiles {
                repo: repo.to_string(),
            });
        }
        create_dir(&folder.blobs())?;
        let plan = Plan::new(
            api,
            &folder,
            repo,
            &info.commit,
            wanted,
            request.parallel.max(1),
        )
        .await?;
        Ok((info.commit, plan))
    };
    let (commit, plan) = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(HubError::Cancelled),
        planned = planning => planned?,
    };
    plan.check_space(config, &folder, request.reserved_bytes)?;

    progress.on_event(&PullEvent::Planned {
        files: plan.files.len(),
        total_bytes: plan.files.iter().map(|file| file.size_bytes).sum(),
        reused_bytes: plan.files.iter().map(|file| file.present_bytes).sum(),
    });
    for file in plan.files.iter().filter(|file| file.is_present()) {
        progress.on_event(&PullEvent::Reused {
            file: file.path.clone(),
            size_bytes: file.size_bytes,
        });
    }

    let transfer = Transfer {
        api,
        config,
        folder: &folder,
        repo,
        commit: &commit,
        progress,
    };
    let fetched = transfer_all(&transfer, &plan, request.parallel.max(1), cancel).await?;

    publish(
        config,
        &folder,
        &commit,
        revision.unwrap_or(DEFAULT_REVISION),
        &plan,
        &fetched,
    )?;
    let snapshot = folder.snapshot(&commit);
    progress.on_event(&PullEvent::Done {
        snapshot: snapshot.clone(),
    });
    let bytes_downloaded = fetched.iter().map(|file| file.bytes_downloaded).sum();
    let present: u64 = plan
        .files
        .iter()
        .filter(|file| file.is_present())
        .map(|file| file.size_bytes)
        .sum();
    let bytes_reused = present + fetched.iter().map(|file| file.bytes_reused).sum::<u64>();
    Ok(PulledModel {
        snapshot,
        commit,
        bytes_downloaded,
        bytes_reused,
    })
}

/// Downloads the missing files. If one fails, the others are cancelled and keep their partial downloads.
async fn transfer_all(
    transfer: &Transfer<'_>,
    plan: &Plan,
    parallel: usize,
    cancel: &CancellationToken,
) -> Result<Vec<FetchedFile>, HubError> {
    // Files with the same content are downloaded once. The largest files start first to minimize the total time.
    let mut contents = HashSet::new();
    let (mut missing, copies): (Vec<&PlannedFile>, Vec<&PlannedFile>) = plan
        .files
        .iter()
        .filter(|file| !file.is_present())
        .partition(|file| contents.insert(&file.etag));
    missing.sort_by_key(|file| std::cmp::Reverse(file.size_bytes));

    let stop = cancel.child_token();
    let fetches: Vec<_> = missing
        .into_iter()
        .map(async |file| {
            let outcome = transfer.fetch(file, &stop).await;
            if outcome.is_err() {
                stop.cancel();
            }
            outcome
        })
        .collect();
    let outcomes: Vec<_> = stream::iter(fetches)
        .buffer_unordered(parallel)
        .collect()
        .await;
    let (fetched, errors): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    let mut errors: Vec<HubError> = errors.into_iter().filter_map(Result::err).collect();
    // Report the original error rather than the resulting cancellations.
    let cause = errors
        .iter()
        .position(|error| !matches!(error, HubError::Cancelled))
        .unwrap_or(0);
    if !errors.is_empty() {
        return Err(errors.swap_remove(cause));
    }
    for file in copies {
        transfer.progress.on_event(&PullEvent::Reused {
            file: file.path.clone(),
            size_bytes: file.size_bytes,
        });
    }
    Ok(fetched.into_iter().flatten().collect())
}

fn publish(
    config: &HubConfig,
    folder: &RepoFolder,
    commit: &str,
    revision: &str,
    plan: &Plan,
    fetched: &[FetchedFile],
) -> Result<(), HubError> {
    let etag_of = |file: &PlannedFile| {
        // The etag may have changed between planning and transfer.
        let download = fetched.iter().find(|other| other.planned_etag == file.etag);
        download
            .map_or(&file.etag, |download| &download.etag)
            .clone()
    };
    let (last, first): (Vec<_>, Vec<_>) =
        plan.files.iter().partition(|file| file.path == ENTRY_FILE);
    let files: Vec<(&PlannedFile, String)> = first
        .into_iter()
        .chain(last)
        .map(|file| (file, etag_of(file)))
        .collect();
    for (index, (file, etag)) in files.iter().enumerate() {
        let mut later = files.iter().skip(index + 1);
        // Another revision may link to a blob that was there before.
        let is_new = fetched.iter().any(|download| download.etag == *etag);
        let blob_use = if !is_new || later.any(|(_, other)| other == etag) {
            BlobUse::Shared
        } else {
            BlobUse::Last
        };
        folder.link(config.disk.as_ref(), commit, &file.path, etag, blob_use)?;
    }
    if revision != commit {
        folder.write_ref(revision, commit)?;
    }
    Ok(())
}

/// Runs up to `parallel` requests concurrently and returns their results in order.
async fn buffered<T>(
    requests: Vec<impl Future<Output = Result<T, HubError>>>,
    parallel: usize,
) -> Result<Vec<T>, HubError> {
    stream::iter(requests)
        .buffered(parallel)
        .try_collect()
        .await
}

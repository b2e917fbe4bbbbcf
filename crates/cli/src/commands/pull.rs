//! `mlxm pull`: download a model.

mod queued;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::DecimalBytes;
use mlxm_api::wire::downloads::DownloadRequest;
use mlxm_hub::blocking::Hub;
use mlxm_hub::{CancellationToken, FileFilter, HubError, PullRequest, PulledModel, RepoId};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::{Gateway, GatewayArguments};
use crate::interrupt::InterruptGuard;
use crate::locate;
use crate::output::{Report, Section};
use crate::progress::PullProgress;

const POLL_INTERVAL: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Files are stored in the Hugging Face cache. Interrupted downloads are resumed.
For gated or private models set HF_TOKEN, or log in with `hf auth login`.

If a gateway is running, the download is part of its queue: Ctrl-C pauses it, and it continues if the terminal is closed. \
--exclude, --all and --parallel need no gateway.

Examples:
  mlxm pull mlx-community/Qwen3-0.6B-4bit
  mlxm pull mlx-community/Qwen3-0.6B-4bit --detach    in the background
  mlxm pull owner/name --revision v1.0
  mlxm pull owner/name --files '*.gguf'        only matching files
  mlxm pull owner/name --all                   all files, not only those needed to run the model";

/// Download a model from the Hugging Face Hub
#[derive(Debug, Args)]
#[command(visible_aliases = ["get", "download"], after_help = EXAMPLES)]
pub struct Pull {
    /// Repository ID (owner/name)
    repo: String,

    /// Branch, tag or commit hash
    #[arg(long)]
    revision: Option<String>,

    /// Glob pattern of files to download; can be repeated
    #[arg(long, value_name = "GLOB", conflicts_with = "all")]
    files: Vec<String>,

    /// Glob pattern of files to exclude; can be repeated
    #[arg(long, value_name = "GLOB", conflicts_with = "all")]
    exclude: Vec<String>,

    /// Download all files of the repository
    #[arg(long)]
    all: bool,

    /// Maximum number of concurrent downloads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    parallel: Option<u8>,

    /// Add the download to the gateway's queue and return; the gateway is started in the background if none is running
    #[arg(long, conflicts_with_all = SELECTION)]
    detach: bool,

    /// Download in this process, also if a gateway is running
    #[arg(long, conflicts_with = "detach")]
    in_process: bool,

    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Options that the gateway's queue does not have.
const SELECTION: [&str; 3] = ["exclude", "all", "parallel"];

#[derive(Debug, Serialize)]
struct Pulled {
    repo: String,
    /// `None` on another machine.
    commit: Option<String>,
    path: Option<PathBuf>,
    downloaded_bytes: u64,
    reused_bytes: u64,
}

impl Report for Pulled {
    fn sections(&self) -> Vec<Section> {
        let mut text = format!(
            "{}: {} downloaded, {} already cached",
            self.repo,
            DecimalBytes(self.downloaded_bytes),
            DecimalBytes(self.reused_bytes)
        );
        if let Some(path) = &self.path {
            text = format!("{text}\n{}", path.display());
        }
        vec![Section::sentence(text)]
    }

    fn quiet_lines(&self) -> Vec<String> {
        let path = self.path.as_ref();
        vec![path.map_or_else(|| self.repo.clone(), |path| path.display().to_string())]
    }
}

impl Pull {
    /// Downloads the files and prints their directory.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        // Checked first: the gateway would report it with the same words, but only after it has been started.
        let repo: RepoId = self.repo.parse()?;
        let request = DownloadRequest {
            repo_id: repo.to_string(),
            revision: self.revision.clone(),
            files: self.files.clone(),
        };
        if self.detach {
            return queued::enqueue(context, &self.gateway.find_or_start(context)?, &request);
        }
        let pulled = match self.queue(context)? {
            Some(gateway) => {
                let completed = queued::pull(context, &gateway, &request)?;
                let (path, commit) = completed
                    .local
                    .map_or((None, None), |local| (Some(local.path), local.commit));
                Pulled {
                    repo: request.repo_id,
                    commit,
                    path,
                    downloaded_bytes: completed
                        .download
                        .done_bytes
                        .saturating_sub(completed.reused_bytes),
                    reused_bytes: completed.reused_bytes,
                }
            }
            None => self.pull_here(context, repo)?,
        };
        context.output.report(&pulled)?;
        Ok(())
    }

    /// The gateway, if it is running and has all given options.
    fn queue(&self, context: &Context) -> anyhow::Result<Option<Gateway>> {
        if self.in_process {
            return Ok(None);
        }
        let gateway = self.gateway.find()?;
        let given = [
            (self.all, "--all"),
            (!self.exclude.is_empty(), "--exclude"),
            (self.parallel.is_some(), "--parallel"),
        ];
        let given = given.into_iter().find(|(given, _)| *given);
        if let (Some(_), Some((_, option))) = (&gateway, given) {
            context.output.note(&format!(
                "the gateway's queue has no {option}: downloading in this process"
            ));
            return Ok(None);
        }
        Ok(gateway)
    }

    fn pull_here(self, context: &Context, repo: RepoId) -> anyhow::Result<Pulled> {
        let mut request = PullRequest::new(repo);
        request.revision = self.revision;
        request.files = match (self.all, self.files.is_empty() && self.exclude.is_empty()) {
            (true, _) => FileFilter::All,
            (false, true) => FileFilter::Model,
            (false, false) => FileFilter::Patterns {
                include: self.files,
                exclude: self.exclude,
            },
        };
        if let Some(parallel) = self.parallel {
            request.parallel = usize::from(parallel);
        }
        let pulled = pull(context, &locate::hub()?, &request)?;
        Ok(Pulled {
            repo: request.repo.to_string(),
            commit: Some(pulled.commit),
            path: Some(pulled.snapshot),
            downloaded_bytes: pulled.bytes_downloaded,
            reused_bytes: pulled.bytes_reused,
        })
    }
}

/// Downloads the files needed to run a model and returns their directory.
pub fn pull_repository(context: &Context, hub: &Hub, repo: &RepoId) -> anyhow::Result<PathBuf> {
    Ok(pull(context, hub, &PullRequest::new(repo.clone()))?.snapshot)
}

/// Downloads with progress; Ctrl-C cancels gracefully.
fn pull(context: &Context, hub: &Hub, request: &PullRequest) -> anyhow::Result<PulledModel> {
    let guard = InterruptGuard::start();
    let progress = PullProgress::new(&context.output);
    let cancel = CancellationToken::new();
    let outcome = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !cancel.is_cancelled() {
                if guard.requested() {
                    cancel.cancel();
                }
                std::thread::park_timeout(POLL_INTERVAL);
            }
        });
        let outcome = hub.pull(request, &progress, &cancel);
        cancel.cancel();
        watcher.thread().unpark();
        outcome
    });
    progress.finish();
    outcome.map_err(|error| match error {
        HubError::Cancelled => Failure::Interrupted(format!(
            "interrupted: run `mlxm pull {}` to resume",
            request.repo
        ))
        .into(),
        error => error.into(),
    })
}

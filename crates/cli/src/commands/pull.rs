//! `mlxm pull`: download a model.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mlxm_hub::blocking::Hub;
use mlxm_hub::{CancellationToken, FileFilter, HubError, PullRequest, PulledModel, RepoId};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Watch;
use crate::locate;
use crate::output::{Report, Section};
use crate::progress::PullProgress;
use crate::units;

const POLL_INTERVAL: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Files go to the cache shared with huggingface_hub. A download that was interrupted continues where it stopped.
For gated or private models set HF_TOKEN, or log in once with `hf auth login`.

Examples:
  mlxm pull mlx-community/Qwen3-0.6B-4bit
  mlxm pull owner/name --revision v1.0
  mlxm pull owner/name --files '*.gguf'        only these files
  mlxm pull owner/name --all                   every file, not only those that running needs";

/// Download a model
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Pull {
    /// Repository: owner/name
    repo: String,

    /// Branch, tag or commit
    #[arg(long)]
    revision: Option<String>,

    /// Only files that match this pattern; may be repeated
    #[arg(long, value_name = "GLOB", conflicts_with = "all")]
    files: Vec<String>,

    /// Not files that match this pattern; may be repeated
    #[arg(long, value_name = "GLOB", conflicts_with = "all")]
    exclude: Vec<String>,

    /// Every file of the repository
    #[arg(long)]
    all: bool,

    /// Files fetched at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    parallel: Option<u8>,
}

#[derive(Debug, Serialize)]
struct Pulled {
    repo: String,
    commit: String,
    path: PathBuf,
    downloaded_bytes: u64,
    reused_bytes: u64,
}

impl Report for Pulled {
    fn sections(&self) -> Vec<Section> {
        vec![Section::sentence(format!(
            "{} is here: {} downloaded, {} were here before\n{}",
            self.repo,
            units::bytes(self.downloaded_bytes),
            units::bytes(self.reused_bytes),
            self.path.display()
        ))]
    }

    fn brief(&self) -> Vec<String> {
        vec![self.path.display().to_string()]
    }
}

impl Pull {
    /// Downloads the files and prints where they are.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let mut request = PullRequest::new(self.repo.parse()?);
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
        context.output.report(&Pulled {
            repo: request.repo.to_string(),
            commit: pulled.commit,
            path: pulled.snapshot,
            downloaded_bytes: pulled.bytes_downloaded,
            reused_bytes: pulled.bytes_reused,
        })?;
        Ok(())
    }
}

/// Downloads what running a model needs and returns its folder.
pub fn pull_repository(context: &Context, hub: &Hub, repo: &RepoId) -> anyhow::Result<PathBuf> {
    Ok(pull(context, hub, &PullRequest::new(repo.clone()))?.snapshot)
}

/// Downloads with progress; Ctrl-C stops in order.
fn pull(context: &Context, hub: &Hub, request: &PullRequest) -> anyhow::Result<PulledModel> {
    let watch = Watch::start();
    let progress = PullProgress::new(&context.output);
    let cancel = CancellationToken::new();
    let outcome = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !cancel.is_cancelled() {
                if watch.requested() {
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
            "interrupted: what arrived is kept; `mlxm pull {}` continues there",
            request.repo
        ))
        .into(),
        error => error.into(),
    })
}

//! `mlxm pull`: download a model.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::DecimalBytes;
use mlxm_hub::blocking::Hub;
use mlxm_hub::{CancellationToken, FileFilter, HubError, PullRequest, PulledModel, RepoId};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::InterruptGuard;
use crate::locate;
use crate::output::{Report, Section};
use crate::progress::PullProgress;

const POLL_INTERVAL: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "\
Files are stored in the Hugging Face cache. Interrupted downloads are resumed.
For gated or private models set HF_TOKEN, or log in with `hf auth login`.

Examples:
  mlxm pull mlx-community/Qwen3-0.6B-4bit
  mlxm pull owner/name --revision v1.0
  mlxm pull owner/name --files '*.gguf'        only matching files
  mlxm pull owner/name --all                   all files, not only those needed to run the model";

/// Download a model from the Hugging Face Hub
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
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
            "{}: {} downloaded, {} already cached\n{}",
            self.repo,
            DecimalBytes(self.downloaded_bytes),
            DecimalBytes(self.reused_bytes),
            self.path.display()
        ))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![self.path.display().to_string()]
    }
}

impl Pull {
    /// Downloads the files and prints their directory.
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

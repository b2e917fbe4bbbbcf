//! `mlxm downloads`: the download queue of the gateway.

use clap::{Args, Subcommand};
use indicatif::DecimalBytes;
use mlxm_api::wire::downloads::{Download, DownloadOrder, DownloadState};
use serde::Serialize;

use crate::complete;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::{self, Gateway, GatewayArguments, NOT_RUNNING, text};
use crate::locate;
use crate::output::{Report, Section};
use crate::units;

const EXAMPLES: &str = "\
DOWNLOAD is a repository ID, a unique part of it, or the first characters of the download's ID.

Examples:
  mlxm pull owner/name --detach         adds a download
  mlxm downloads                        those that are not finished
  mlxm downloads list --all
  mlxm downloads pause Qwen3
  mlxm downloads order Qwen3 gemma      these come first";

/// List and control the downloads of the gateway
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Downloads {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List downloads that are not finished (the default)
    #[command(visible_alias = "ls")]
    List {
        /// Also list those that are done, failed or cancelled
        #[arg(long)]
        all: bool,
    },
    /// Pause a download
    Pause {
        /// Repository ID, part of it, or download ID
        #[arg(add = complete::downloads())]
        download: String,
    },
    /// Resume a download that is paused or has failed
    Resume {
        /// Repository ID, part of it, or download ID
        #[arg(add = complete::downloads())]
        download: String,
    },
    /// Cancel a download
    #[command(visible_alias = "rm")]
    Cancel {
        /// Repository ID, part of it, or download ID
        #[arg(add = complete::downloads())]
        download: String,
        /// Keep the partial files, with which a later download continues
        #[arg(long, conflicts_with = "delete_partial")]
        keep_partial: bool,
        /// Delete the partial files without asking
        #[arg(long)]
        delete_partial: bool,
    },
    /// Change the order of the queue
    Order {
        /// The downloads that come first, in this order
        #[arg(required = true, add = complete::downloads())]
        downloads: Vec<String>,
    },
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Queue(Vec<Download>);

impl Report for Queue {
    fn sections(&self) -> Vec<Section> {
        if self.0.is_empty() {
            return vec![Section::sentence(
                "no downloads; add one with `mlxm pull OWNER/NAME --detach`",
            )];
        }
        vec![table(&self.0)]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|download| download.repo_id.clone())
            .collect()
    }
}

/// A table of downloads.
pub fn table(downloads: &[Download]) -> Section {
    let mut table = Section::table(&[
        "download",
        "state",
        "done",
        "size",
        "speed",
        "remaining",
        "id",
    ])
    .right_aligned(&[2, 3, 4, 5]);
    let mut problems = Vec::new();
    for download in downloads {
        let bytes = |bytes: Option<u64>| {
            bytes.map_or_else(|| "-".to_owned(), |bytes| DecimalBytes(bytes).to_string())
        };
        let speed = match download.bytes_per_second {
            Some(_) => format!("{}/s", bytes(download.bytes_per_second)),
            None => "-".to_owned(),
        };
        table.row([
            download.repo_id.clone(),
            text(&download.state),
            bytes(Some(download.done_bytes)),
            bytes(download.total_bytes),
            speed,
            download
                .remaining_seconds
                .map_or_else(|| "-".to_owned(), units::rough_duration),
            download.id.to_string(),
        ]);
        if let Some(error) = &download.error {
            problems.push(format!("\n{}: {error}", download.repo_id));
        }
    }
    if problems.is_empty() {
        table
    } else {
        table.note(problems.concat())
    }
}

/// Whether the download ends only if a user acts.
pub fn is_finished(state: DownloadState) -> bool {
    matches!(
        state,
        DownloadState::Done | DownloadState::Failed | DownloadState::Cancelled
    )
}

/// The downloads that are not finished.
pub fn unfinished(mut downloads: Vec<Download>) -> Vec<Download> {
    downloads.retain(|download| !is_finished(download.state));
    downloads
}

impl Downloads {
    /// Prints or changes the queue.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let action = self.action.unwrap_or(Action::List { all: false });
        if let Action::List { all } = action {
            let Some(gateway) = self.gateway.find()? else {
                context.output.note(&format!(
                    "{NOT_RUNNING}: its downloads continue when it is started"
                ));
                context.output.report(&Queue(Vec::new()))?;
                return Ok(());
            };
            let downloads = gateway.downloads()?;
            let shown = if all {
                downloads
            } else {
                unfinished(downloads)
            };
            context.output.report(&Queue(shown))?;
            return Ok(());
        }
        let gateway = self.gateway.require()?;
        change(&gateway, action)?;
        context
            .output
            .report(&Queue(unfinished(gateway.downloads()?)))?;
        Ok(())
    }
}

fn change(gateway: &Gateway, action: Action) -> anyhow::Result<()> {
    let downloads = gateway.downloads()?;
    // A name means the download that can still be changed.
    let unfinished = unfinished(downloads.clone());
    let find = |wanted: &str| {
        gateway::find(&unfinished, wanted).or_else(|_| gateway::find(&downloads, wanted))
    };
    match action {
        Action::List { .. } => {}
        Action::Pause { download } => gateway.pause(find(&download)?)?,
        Action::Resume { download } => gateway.resume(find(&download)?)?,
        Action::Cancel {
            download,
            keep_partial,
            delete_partial,
        } => {
            let download = find(&download)?;
            let keep = keep_partial || !delete_partial && !delete_partial_files(download)?;
            gateway.cancel(download, keep)?;
        }
        Action::Order { downloads: wanted } => {
            let first = wanted
                .iter()
                .map(|wanted| find(wanted).map(|download| download.id));
            let first = first.collect::<Result<_, Failure>>()?;
            gateway.order(&DownloadOrder { first })?;
        }
    }
    Ok(())
}

/// Asks what happens to the partial files.
fn delete_partial_files(download: &Download) -> anyhow::Result<bool> {
    if download.done_bytes == 0 {
        return Ok(true);
    }
    let question = format!(
        "Delete the {} of {} that are downloaded already?",
        DecimalBytes(download.done_bytes),
        download.repo_id
    );
    let hint = "pass --keep-partial or --delete-partial";
    locate::confirm_or(&question, hint)
}

//! `mlxm pull` with the download queue of the gateway.

use anyhow::Context as _;
use indicatif::{DecimalBytes, ProgressBar};
use mlxm_api::wire::downloads::{Download, DownloadRequest, DownloadState};
use mlxm_api::wire::events::{DownloadEvent, Event};
use mlxm_hub::Resolved;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::{Events, Gateway, Received};
use crate::interrupt::InterruptGuard;
use crate::locate;
use crate::output::{Report, Section};
use crate::units;

/// A download that was added to the queue.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Queued(Download);

impl Report for Queued {
    fn sections(&self) -> Vec<Section> {
        let repo = &self.0.repo_id;
        vec![Section::sentence(format!(
            "{repo} is in the download queue: `mlxm downloads` shows it, `mlxm pull {repo}` follows it"
        ))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![self.0.id.to_string()]
    }
}

/// Adds the download to the queue and returns.
pub fn enqueue(
    context: &Context,
    gateway: &Gateway,
    request: &DownloadRequest,
) -> anyhow::Result<()> {
    let download = add(gateway, request)?;
    context.output.report(&Queued(download))?;
    Ok(())
}

/// A completed download.
pub struct Completed {
    /// The last state of the download.
    pub download: Download,
    /// Bytes that were there before.
    pub reused_bytes: u64,
    /// The model, if it is on this machine.
    pub local: Option<Resolved>,
}

/// Downloads with the gateway and shows the progress; Ctrl-C pauses the download.
pub fn pull(
    context: &Context,
    gateway: &Gateway,
    request: &DownloadRequest,
) -> anyhow::Result<Completed> {
    let guard = InterruptGuard::start();
    let events = gateway.subscribe(&["downloads"])?;
    let download = add(gateway, request)?;
    context.output.note(&format!(
        "downloading with the gateway at {}",
        gateway.url()
    ));
    let bar = context.byte_progress(&download.repo_id);
    let mut follow = Follow {
        context,
        gateway,
        bar,
        reused_bytes: download.done_bytes,
        state: None,
        download,
    };
    let outcome = follow.run(&guard, &events);
    follow.bar.finish_and_clear();
    outcome?;
    Ok(Completed {
        local: local(&follow.download),
        reused_bytes: follow.reused_bytes,
        download: follow.download,
    })
}

/// Adds a download. One that is paused or has failed is resumed.
fn add(gateway: &Gateway, request: &DownloadRequest) -> anyhow::Result<Download> {
    let download = gateway.download(request)?;
    if matches!(
        download.state,
        DownloadState::Paused | DownloadState::Failed
    ) {
        gateway.resume(&download)?;
        let downloads = gateway.downloads()?;
        return downloads
            .into_iter()
            .find(|other| other.id == download.id)
            .context("the download was removed from the queue");
    }
    Ok(download)
}

/// The downloaded model, if the gateway uses the cache of this machine.
fn local(download: &Download) -> Option<Resolved> {
    let hub = locate::hub().ok()?;
    hub.resolve_revision(&download.repo_id, &download.revision)
        .ok()
}

/// Shows the progress of a download.
struct Follow<'a> {
    context: &'a Context,
    gateway: &'a Gateway,
    bar: ProgressBar,
    download: Download,
    reused_bytes: u64,
    /// The last state that was shown.
    state: Option<DownloadState>,
}

impl Follow<'_> {
    /// Returns when the download is done.
    fn run(&mut self, guard: &InterruptGuard, events: &Events) -> anyhow::Result<()> {
        if self.show()? {
            return Ok(());
        }
        loop {
            match events.next(guard)? {
                Received::Interrupted => return Err(self.pause()),
                Received::Closed => {
                    let message = "the gateway ended during the download";
                    return Err(Failure::with_hint(
                        message,
                        "the download continues when it is started again",
                    )
                    .into());
                }
                Received::Event(event) => {
                    match *event {
                        Event::Downloads(event) => self.apply(event)?,
                        Event::Reset(_) => self.refresh()?,
                        _ => {}
                    }
                    if self.show()? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn apply(&mut self, event: DownloadEvent) -> Result<(), Failure> {
        match event {
            DownloadEvent::Changed { download } if download.id == self.download.id => {
                self.download = *download;
            }
            DownloadEvent::Progress {
                id,
                done_bytes,
                total_bytes,
                ..
            } if id == self.download.id => {
                self.download.done_bytes = done_bytes;
                self.download.total_bytes = total_bytes;
            }
            DownloadEvent::Removed { id } if id == self.download.id => return Err(self.removed()),
            _ => {}
        }
        Ok(())
    }

    /// Reads the download again, after events were lost.
    fn refresh(&mut self) -> anyhow::Result<()> {
        let downloads = self.gateway.downloads()?;
        let found = downloads
            .into_iter()
            .find(|other| other.id == self.download.id);
        self.download = found.ok_or_else(|| self.removed())?;
        Ok(())
    }

    fn removed(&self) -> Failure {
        let repo = &self.download.repo_id;
        Failure::with_hint(
            format!("the download of {repo} was removed from the queue"),
            format!("`mlxm pull {repo}` starts it again"),
        )
    }

    /// Shows the state; true if the download is done.
    fn show(&mut self) -> Result<bool, Failure> {
        let download = &self.download;
        let repo = &download.repo_id;
        let is_new = self.state.replace(download.state) != Some(download.state);
        if let Some(total) = download.total_bytes {
            self.bar.set_length(total);
        }
        self.bar.set_position(download.done_bytes);
        if is_new {
            self.reused_bytes = match download.state {
                // What is there is known when the transfer begins.
                DownloadState::Queued | DownloadState::Checking => download.done_bytes,
                _ => self.reused_bytes,
            };
        }
        let reason = download.error.as_deref().unwrap_or("no reason is known");
        match download.state {
            DownloadState::Done => return Ok(true),
            DownloadState::Failed => {
                return Err(Failure::with_hint(
                    format!("the download of {repo} failed: {reason}"),
                    format!("`mlxm pull {repo}` tries again"),
                ));
            }
            DownloadState::Cancelled => {
                let hint = format!("`mlxm pull {repo}` starts it again");
                return Err(Failure::with_hint(
                    format!("the download of {repo} was cancelled"),
                    hint,
                ));
            }
            DownloadState::Paused => {
                let hint = format!("`mlxm downloads resume {repo}` continues it");
                return Err(Failure::with_hint(
                    format!("the download of {repo} was paused"),
                    hint,
                ));
            }
            DownloadState::Waiting if is_new => self.note(&format!("{repo} waits: {reason}")),
            DownloadState::Queued if is_new => {
                self.note(&format!("{repo} waits for other downloads"));
            }
            DownloadState::Running if is_new => {
                let size = download.total_bytes.map_or_else(
                    || "unknown size".to_owned(),
                    |bytes| DecimalBytes(bytes).to_string(),
                );
                if !self.context.output.draws_progress() {
                    let there = DecimalBytes(download.done_bytes);
                    self.note(&format!("{repo}: {size}, {there} already downloaded"));
                }
            }
            DownloadState::Verifying if is_new => {
                self.note(&format!("{repo}: verifying checksums"));
            }
            _ => {}
        }
        if let Some(seconds) = download.remaining_seconds {
            self.bar
                .set_message(format!("{repo} ({} left)", units::rough_duration(seconds)));
        }
        Ok(false)
    }

    fn note(&self, text: &str) {
        self.bar.suspend(|| self.context.output.note(text));
    }

    /// Pauses the download after Ctrl-C.
    fn pause(&self) -> anyhow::Error {
        let repo = &self.download.repo_id;
        match self.gateway.pause(&self.download) {
            Ok(()) => Failure::Interrupted(format!(
                "paused: `mlxm pull {repo}` or `mlxm downloads resume {repo}` continues it"
            ))
            .into(),
            Err(error) => Failure::with_hint(
                format!("the download of {repo} continues; it cannot be paused: {error}"),
                format!("`mlxm downloads pause {repo}` tries again"),
            )
            .into(),
        }
    }
}

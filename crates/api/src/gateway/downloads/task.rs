//! The task that owns the queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mlxm_hub::{CancellationToken, FileFilter, HubError, PullRequest, PulledModel};
use mlxm_store::downloads as store;
use mlxm_store::{StoreError, Uuid, now_ms};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};

use super::commands::Command;
use super::decide::{AfterError, after_error, next_to_start};
use super::entry::{Entry, Reply, Run, Stop};
use super::{QueueOptions, RetryTimes};
use crate::gateway::settings::DOWNLOAD_BYTES_PER_SECOND;
use crate::wire::downloads::{DownloadState, WaitReason};
use crate::wire::events::{DownloadEvent, Event, LogLevel, Notice};

/// The revision of a request without one.
pub(super) const DEFAULT_REVISION: &str = "main";

/// How often progress is published.
const TICK: Duration = Duration::from_millis(250);
/// How often downloads that wait are looked at.
const WAIT_TICK: Duration = Duration::from_secs(1);
/// How often progress is stored, for the list after a restart.
const STORE_INTERVAL: Duration = Duration::from_secs(5);

/// The result of a pull.
type Pulled = Result<PulledModel, HubError>;

/// The queue.
pub(super) struct Task {
    pub(super) options: QueueOptions,
    completed: watch::Sender<u64>,
    /// In the order of the queue.
    pub(super) entries: Vec<Entry>,
    pulls: JoinSet<Pulled>,
    /// The download of each pull.
    owners: HashMap<Id, Uuid>,
    stored_at: Instant,
}

/// Reads the queue and starts the task.
///
/// # Errors
/// If the database cannot be read.
pub async fn start(
    options: QueueOptions,
    commands: mpsc::UnboundedReceiver<Command>,
    completed: watch::Sender<u64>,
) -> Result<(), StoreError> {
    store::requeue_interrupted(&options.store, options.gateway_id).await?;
    let rows = store::list(&options.store, options.gateway_id).await?;
    let task = Task {
        options,
        completed,
        entries: rows.into_iter().map(Entry::new).collect(),
        pulls: JoinSet::new(),
        owners: HashMap::new(),
        stored_at: Instant::now(),
    };
    tokio::spawn(task.run(commands));
    Ok(())
}

impl Task {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut settings = self.options.settings.subscribe();
        let mut exited = None;
        let mut shown_at = Instant::now();
        loop {
            self.limit_bandwidth();
            self.start_pulls().await;
            // Commands do not put it off, however often they come.
            let next_tick = self.tick_interval().map(|interval| shown_at + interval);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Shutdown(reply)) => {
                        exited = Some(reply);
                        break;
                    }
                    Some(command) => self.execute(command).await,
                    None => break,
                },
                Some(ended) = self.pulls.join_next_with_id() => self.ended(ended).await,
                () = tick(next_tick) => {
                    self.show_progress().await;
                    shown_at = Instant::now();
                }
                Ok(()) = settings.changed() => {}
            }
        }
        for entry in &mut self.entries {
            if let Some(run) = &mut entry.run {
                run.stop.get_or_insert(Stop::Requeue);
                run.cancel.cancel();
            }
        }
        while let Some(ended) = self.pulls.join_next_with_id().await {
            self.ended(ended).await;
        }
        // The database can be closed after the reply.
        drop(self);
        if let Some(reply) = exited {
            // The caller may have given up.
            let _ = reply.send(());
        }
    }

    fn limit_bandwidth(&self) {
        let limit = self.options.settings.get(&DOWNLOAD_BYTES_PER_SECOND);
        let bandwidth = &self.options.hub.config().bandwidth;
        let limit = (limit > 0).then_some(limit);
        if bandwidth.limit() != limit {
            bandwidth.set_limit(limit);
        }
    }

    fn tick_interval(&self) -> Option<Duration> {
        if self.entries.iter().any(|entry| entry.run.is_some()) {
            return Some(TICK);
        }
        let waits = |entry: &Entry| entry.state == DownloadState::Waiting;
        // Waits are as short as these in tests only.
        let interval = WAIT_TICK.min(self.options.retry.first);
        self.entries.iter().any(waits).then_some(interval)
    }

    /// The position of the download that starts next.
    fn next_start(&self) -> Option<usize> {
        let now = Instant::now();
        let queue: Vec<_> = self
            .entries
            .iter()
            .map(|entry| (entry.row.repo_id.as_str(), entry.activity(now)))
            .collect();
        next_to_start(&queue)
    }

    /// Starts what may run now.
    async fn start_pulls(&mut self) {
        loop {
            let Some(index) = self.next_start() else {
                return;
            };
            let reserved_bytes: u64 = self
                .entries
                .iter()
                .enumerate()
                .filter(|(other, entry)| *other < index || (*other > index && entry.run.is_some()))
                .map(|(_, entry)| entry.remaining_bytes())
                .sum();
            let Some(entry) = self.entries.get_mut(index) else {
                return;
            };
            let id = entry.row.id;
            let request = match pull_request(entry, reserved_bytes) {
                Ok(request) => request,
                Err(error) => {
                    entry.set_state(DownloadState::Failed, Some(error.to_string()));
                    self.changed(id, Vec::new()).await;
                    continue;
                }
            };
            let run = Run {
                cancel: CancellationToken::new(),
                tracker: Arc::default(),
                stop: None,
                replies: Vec::new(),
            };
            let hub = Arc::clone(&self.options.hub);
            let tracker = Arc::clone(&run.tracker);
            let cancel = run.cancel.clone();
            entry.set_state(DownloadState::Checking, None);
            entry.run = Some(run);
            let pull = self
                .pulls
                .spawn(async move { hub.pull(&request, &*tracker, &cancel).await });
            self.owners.insert(pull.id(), id);
            self.changed(id, Vec::new()).await;
        }
    }

    /// A pull has ended.
    async fn ended(&mut self, ended: Result<(Id, Pulled), JoinError>) {
        let (task, result) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let failed = HubError::InvalidConfig(format!("the download ended: {error}"));
                (error.id(), Err(failed))
            }
        };
        let retry = self.options.retry;
        let Some(id) = self.owners.remove(&task) else {
            return;
        };
        let Some(entry) = self.find(id) else {
            return;
        };
        let Some(run) = entry.run.take() else {
            return;
        };
        let progress = run.tracker.progress();
        if progress.total_bytes.is_some() {
            entry.total_bytes = progress.total_bytes;
            entry.done_bytes = progress.done_bytes;
        }
        let mut notice = None;
        match (result, run.stop) {
            (Ok(_), _) => {
                entry.set_state(DownloadState::Done, None);
                entry.done_bytes = entry.total_bytes.unwrap_or_default();
                self.completed.send_modify(|count| *count += 1);
                if let Some(how @ Stop::Cancel { remove: true, .. }) = run.stop {
                    self.end_cancelled(id, how, run.replies).await;
                    return;
                }
            }
            (Err(_), Some(how @ Stop::Cancel { .. })) => {
                self.end_cancelled(id, how, run.replies).await;
                return;
            }
            (Err(_), Some(Stop::Pause)) => entry.set_state(DownloadState::Paused, None),
            (Err(_), Some(Stop::Requeue)) | (Err(HubError::Cancelled), None) => {
                entry.set_state(DownloadState::Queued, None);
            }
            (Err(error), None) => notice = failed(entry, &error, &retry),
        }
        if let Some(notice) = notice {
            self.options.bus.publish(Event::Notices(notice));
        }
        self.changed(id, run.replies).await;
    }

    /// Publishes the progress of running downloads.
    async fn show_progress(&mut self) {
        let now = Instant::now();
        let is_store_due = self.stored_at.elapsed() >= STORE_INTERVAL;
        let mut changed = Vec::new();
        for entry in &mut self.entries {
            let Some(run) = &entry.run else {
                continue;
            };
            let before = entry.done_bytes;
            let progress = run.tracker.progress();
            if entry.apply(progress, now) {
                changed.push(entry.row.id);
            } else if entry.done_bytes != before {
                let event = DownloadEvent::Progress {
                    id: entry.row.id,
                    done_bytes: entry.done_bytes,
                    total_bytes: entry.total_bytes,
                    bytes_per_second: entry.speed.bytes_per_second(),
                };
                self.options.bus.publish(Event::Downloads(event));
            }
        }
        for id in changed {
            self.changed(id, Vec::new()).await;
        }
        if is_store_due {
            self.stored_at = Instant::now();
            for entry in self.entries.iter().filter(|entry| entry.run.is_some()) {
                self.store(entry).await;
            }
        }
    }

    /// Stores and publishes a download, and replies to those who changed it.
    pub(super) async fn changed(&mut self, id: Uuid, replies: Vec<Reply>) {
        let Some(entry) = self.find(id) else {
            return;
        };
        entry.note_times(now_ms());
        let Some(entry) = self.entries.iter().find(|entry| entry.row.id == id) else {
            return;
        };
        self.store(entry).await;
        self.publish(entry);
        for reply in replies {
            let _ = reply.send(Ok(entry.to_wire()));
        }
    }

    /// Downloads continue without a database; only a restart would not know of them.
    async fn store(&self, entry: &Entry) {
        let stored = store::update(&self.options.store, entry.row.id, &entry.progress()).await;
        if let Err(error) = stored {
            tracing::error!(download = %entry.row.id, %error, "the state of a download is not stored");
        }
    }

    pub(super) fn publish(&self, entry: &Entry) {
        let download = Box::new(entry.to_wire());
        self.options
            .bus
            .publish(Event::Downloads(DownloadEvent::Changed { download }));
    }

    pub(super) async fn delete(&mut self, id: Uuid) {
        if let Err(error) = store::delete(&self.options.store, id).await {
            tracing::error!(download = %id, %error, "a download is not removed from the database");
        }
        self.entries.retain(|entry| entry.row.id != id);
        self.options
            .bus
            .publish(Event::Downloads(DownloadEvent::Removed { id }));
    }

    pub(super) fn find(&mut self, id: Uuid) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.row.id == id)
    }
}

/// Sleeps until a time; forever without one.
async fn tick(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn pull_request(entry: &Entry, reserved_bytes: u64) -> Result<PullRequest, HubError> {
    let mut request = PullRequest::new(entry.row.repo_id.parse()?);
    request.reserved_bytes = reserved_bytes;
    if entry.row.revision != DEFAULT_REVISION {
        request.revision = Some(entry.row.revision.clone());
    }
    if !entry.row.files.is_empty() {
        request.files = FileFilter::Patterns {
            include: entry.row.files.clone(),
            exclude: Vec::new(),
        };
    }
    Ok(request)
}

/// Lets a download wait after an error, or fail. Returns what a user should know.
fn failed(entry: &mut Entry, error: &HubError, times: &RetryTimes) -> Option<Notice> {
    let message = error.to_string();
    let repo_id = entry.row.repo_id.clone();
    let notice = |code: &str, level| Notice {
        level,
        code: code.to_owned(),
        message: format!("the download of {repo_id}: {message}"),
    };
    let is_lost = matches!(error, HubError::Network { .. } | HubError::DiskFull { .. });
    let attempt = entry.count_failure(is_lost);
    match after_error(error, attempt, times) {
        AfterError::Retry { reason, after } => {
            entry.wait(reason, Some(Instant::now() + after), message.clone());
            (reason == WaitReason::Disk && attempt == 1)
                .then(|| notice("disk_full", LogLevel::Warn))
        }
        AfterError::Fail => {
            entry.set_state(DownloadState::Failed, Some(message.clone()));
            Some(notice("download_failed", LogLevel::Error))
        }
    }
}

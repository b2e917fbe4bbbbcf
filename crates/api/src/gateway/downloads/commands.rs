//! What users do with the queue.

use std::sync::Arc;

use mlxm_hub::RepoId;
use mlxm_store::Uuid;
use mlxm_store::downloads as store;
use tokio::sync::oneshot;

use super::QueueError;
use super::entry::{Entry, Reply, Run, Stop};
use super::task::{DEFAULT_REVISION, Task};
use crate::wire::downloads::{Download, DownloadRequest, DownloadState};
use crate::wire::events::{DownloadEvent, Event};

/// A request to the task.
#[derive(Debug)]
pub enum Command {
    List(oneshot::Sender<Vec<Download>>),
    Add {
        request: DownloadRequest,
        reply: oneshot::Sender<Result<(Download, bool), QueueError>>,
    },
    Order {
        first: Vec<Uuid>,
        reply: oneshot::Sender<Result<Vec<Download>, QueueError>>,
    },
    Pause {
        id: Uuid,
        reply: Reply,
    },
    Resume {
        id: Uuid,
        reply: Reply,
    },
    Cancel {
        id: Uuid,
        keep_partial: bool,
        remove: bool,
        reply: Reply,
    },
    Shutdown(oneshot::Sender<()>),
}

impl Task {
    /// Executes a command, and replies when it has taken effect.
    pub(super) async fn execute(&mut self, command: Command) {
        // A caller that has given up needs no reply.
        match command {
            Command::List(reply) => {
                let _ = reply.send(self.list());
            }
            Command::Add { request, reply } => {
                let _ = reply.send(self.add(request).await);
            }
            Command::Order { first, reply } => {
                let _ = reply.send(self.order(&first).await);
            }
            Command::Pause { id, reply } => self.pause(id, reply).await,
            Command::Resume { id, reply } => self.resume(id, reply).await,
            Command::Cancel {
                id,
                keep_partial,
                remove,
                reply,
            } => {
                let stop = Stop::Cancel {
                    keep_partial,
                    remove,
                };
                self.cancel(id, stop, reply).await;
            }
            // Ends the loop.
            Command::Shutdown(_) => {}
        }
    }

    fn list(&self) -> Vec<Download> {
        self.entries.iter().map(Entry::to_wire).collect()
    }

    async fn add(&mut self, request: DownloadRequest) -> Result<(Download, bool), QueueError> {
        let repo: RepoId = request.repo_id.parse()?;
        let revision = request.revision.as_deref().unwrap_or(DEFAULT_REVISION);
        let is_same = |entry: &Entry| {
            entry.row.repo_id == repo.as_str()
                && entry.row.revision == revision
                && entry.row.files == request.files
        };
        let is_over =
            |entry: &Entry| matches!(entry.state, DownloadState::Done | DownloadState::Cancelled);
        let same = self.entries.iter().find(|entry| is_same(entry));
        match same {
            Some(entry) if !is_over(entry) => return Ok((entry.to_wire(), false)),
            Some(entry) => {
                let id = entry.row.id;
                self.delete(id).await;
            }
            None => {}
        }
        let options = &self.options;
        let row = store::enqueue(
            &options.store,
            options.gateway_id,
            repo.as_str(),
            revision,
            &request.files,
        )
        .await?;
        let entry = Entry::new(row);
        self.publish(&entry);
        let download = entry.to_wire();
        self.entries.push(entry);
        Ok((download, true))
    }

    async fn order(&mut self, first: &[Uuid]) -> Result<Vec<Download>, QueueError> {
        let options = &self.options;
        store::reorder(&options.store, options.gateway_id, first).await?;
        let rank = |entry: &Entry| {
            let place = first.iter().position(|id| *id == entry.row.id);
            place.unwrap_or(first.len())
        };
        // Stable: the others keep their order.
        self.entries.sort_by_key(rank);
        let ids = self.entries.iter().map(|entry| entry.row.id).collect();
        self.options
            .bus
            .publish(Event::Downloads(DownloadEvent::Reordered { ids }));
        Ok(self.list())
    }

    async fn pause(&mut self, id: Uuid, reply: Reply) {
        let Some(entry) = self.find(id) else {
            let _ = reply.send(Err(QueueError::NotFound(id)));
            return;
        };
        if entry.is_finished() {
            let _ = reply.send(Err(not_possible(entry, "paused")));
            return;
        }
        if let Some(run) = &mut entry.run {
            stop(run, Stop::Pause, reply);
            return;
        }
        entry.set_state(DownloadState::Paused, None);
        self.changed(id, vec![reply]).await;
    }

    async fn resume(&mut self, id: Uuid, reply: Reply) {
        let Some(entry) = self.find(id) else {
            let _ = reply.send(Err(QueueError::NotFound(id)));
            return;
        };
        if entry.state == DownloadState::Done {
            let _ = reply.send(Err(not_possible(entry, "resumed")));
            return;
        }
        match &mut entry.run {
            Some(run) if run.stop.is_some() => stop(run, Stop::Requeue, reply),
            Some(_) => {
                let _ = reply.send(Ok(entry.to_wire()));
            }
            None => {
                entry.failures = 0;
                entry.set_state(DownloadState::Queued, None);
                self.changed(id, vec![reply]).await;
            }
        }
    }

    async fn cancel(&mut self, id: Uuid, how: Stop, reply: Reply) {
        let is_removal = matches!(how, Stop::Cancel { remove: true, .. });
        let Some(entry) = self.find(id) else {
            let _ = reply.send(Err(QueueError::NotFound(id)));
            return;
        };
        if entry.state == DownloadState::Done && !is_removal {
            let _ = reply.send(Err(not_possible(entry, "cancelled")));
            return;
        }
        if let Some(run) = &mut entry.run {
            stop(run, how, reply);
            return;
        }
        self.end_cancelled(id, how, vec![reply]).await;
    }

    /// Removes partial files, and the row if that was requested.
    pub(super) async fn end_cancelled(&mut self, id: Uuid, how: Stop, replies: Vec<Reply>) {
        let Stop::Cancel {
            keep_partial,
            remove,
        } = how
        else {
            return;
        };
        let Some(entry) = self.find(id) else {
            return;
        };
        let is_done = entry.state == DownloadState::Done;
        let repo_id = entry.row.repo_id.clone();
        if !is_done {
            entry.set_state(DownloadState::Cancelled, None);
        }
        // Another revision may need the files.
        let is_needed = self.entries.iter().any(|other| {
            other.row.id != id && other.row.repo_id == repo_id && !other.is_finished()
        });
        if !keep_partial && !is_done && !is_needed {
            self.remove_partial(&repo_id).await;
            if let Some(entry) = self.find(id) {
                entry.done_bytes = 0;
            }
        }
        if !remove {
            self.changed(id, replies).await;
            return;
        }
        let download = self.find(id).map(|entry| entry.to_wire());
        self.delete(id).await;
        for reply in replies {
            let _ = reply.send(download.clone().ok_or(QueueError::NotFound(id)));
        }
    }

    async fn remove_partial(&self, repo_id: &str) {
        let hub = Arc::clone(&self.options.hub);
        let Ok(repo) = repo_id.parse::<RepoId>() else {
            return;
        };
        let removed = tokio::task::spawn_blocking(move || hub.remove_partial(&repo)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(repo = repo_id, %error, "partial files are not removed");
        }
    }
}

/// Stops a pull. One that is being cancelled is cancelled, whatever follows.
fn stop(run: &mut Run, how: Stop, reply: Reply) {
    let is_cancelled = matches!(run.stop, Some(Stop::Cancel { .. }));
    if !is_cancelled || matches!(how, Stop::Cancel { .. }) {
        run.stop = Some(how);
    }
    run.replies.push(reply);
    run.cancel.cancel();
}

fn not_possible(entry: &Entry, action: &'static str) -> QueueError {
    QueueError::State {
        repo_id: entry.row.repo_id.clone(),
        action,
        state: entry.state,
    }
}

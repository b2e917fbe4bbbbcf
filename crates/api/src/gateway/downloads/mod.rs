//! The download queue: what is downloaded, in which order, and what stands in the way.
//!
//! - `task`: the task that owns the queue. `commands`: what users do with it. `entry`: one download.
//! - `decide`: what starts next, and what follows an error; pure. `tracker`, `speed`: the progress of a pull.
//! - `routes`: the routes.
//!
//! # Invariants
//! - The queue is the table: each download has a row, and a restart loses none.
//! - At most two repositories are downloaded at the same time, and the disk has space for all that have started.

mod commands;
mod decide;
mod entry;
pub(in crate::gateway) mod routes;
mod speed;
mod task;
mod tracker;

use std::sync::Arc;

use mlxm_hub::{Hub, HubError};
use mlxm_store::{Store, StoreError, Uuid};
use tokio::sync::{mpsc, oneshot, watch};

pub use decide::RetryTimes;
pub use routes::routes;

use self::commands::Command;
use self::entry::Reply;
use super::events::Bus;
use super::settings::SettingsHandle;
use crate::wire::downloads::{Download, DownloadRequest, DownloadState};

/// What the queue needs.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// The database.
    pub store: Store,
    /// This gateway in the database.
    pub gateway_id: Uuid,
    /// Where models come from.
    pub hub: Arc<Hub>,
    /// Where changes are published.
    pub bus: Bus,
    /// Has the limit of bytes per second.
    pub settings: SettingsHandle,
    /// Times between attempts.
    pub retry: RetryTimes,
}

/// Why the queue cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// There is no such download.
    #[error("there is no download {0}: `mlxm downloads list` shows all")]
    NotFound(Uuid),
    /// It is in a state in which this is not possible.
    #[error("the download of `{repo_id}` cannot be {action}: its state is {state:?}")]
    State {
        /// What is downloaded.
        repo_id: String,
        /// What was requested: "paused" or "resumed".
        action: &'static str,
        /// Its state.
        state: DownloadState,
    },
    /// The name of the repository is not valid.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The database failed, or rejected a value.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gateway exits.
    #[error("the gateway is shutting down: the download continues when it is started again")]
    Closed,
}

/// A handle of the queue; clones refer to the same one. When the last one is dropped, downloads stop and stay queued.
#[derive(Debug, Clone)]
pub struct Queue {
    commands: mpsc::UnboundedSender<Command>,
    completed: watch::Receiver<u64>,
}

impl Queue {
    /// Reads the queue, and continues what was running when the gateway ended.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn start(options: QueueOptions) -> Result<Self, StoreError> {
        let (commands, received) = mpsc::unbounded_channel();
        let (completed, completions) = watch::channel(0);
        task::start(options, received, completed).await?;
        Ok(Self {
            commands,
            completed: completions,
        })
    }

    /// All downloads, in the order of the queue.
    ///
    /// # Errors
    /// If the gateway exits.
    pub async fn list(&self) -> Result<Vec<Download>, QueueError> {
        self.request(Command::List).await
    }

    /// Appends a download. Returns it, and whether it is new: one with the same repository, revision and files that is not done
    /// or cancelled is returned instead.
    ///
    /// # Errors
    /// If a name is not valid, or the database fails.
    pub async fn add(&self, request: DownloadRequest) -> Result<(Download, bool), QueueError> {
        self.request(|reply| Command::Add { request, reply })
            .await?
    }

    /// Changes the order: the named downloads come first. Running ones are not interrupted.
    ///
    /// # Errors
    /// If one does not exist, or is named twice.
    pub async fn order(&self, first: Vec<Uuid>) -> Result<Vec<Download>, QueueError> {
        self.request(|reply| Command::Order { first, reply })
            .await?
    }

    /// Pauses a download, until it is resumed. Returns when nothing is written any more.
    ///
    /// # Errors
    /// If it does not exist, or has ended.
    pub async fn pause(&self, id: Uuid) -> Result<Download, QueueError> {
        self.change(|reply| Command::Pause { id, reply }).await
    }

    /// Continues a download that is paused, waits, has failed or was cancelled.
    ///
    /// # Errors
    /// If it does not exist, or is done.
    pub async fn resume(&self, id: Uuid) -> Result<Download, QueueError> {
        self.change(|reply| Command::Resume { id, reply }).await
    }

    /// Cancels a download. Returns when nothing is written any more, and partial files are removed.
    ///
    /// # Errors
    /// If it does not exist, or is done.
    pub async fn cancel(&self, id: Uuid, keep_partial: bool) -> Result<Download, QueueError> {
        self.change(|reply| Command::Cancel {
            id,
            keep_partial,
            remove: false,
            reply,
        })
        .await
    }

    /// Cancels a download that has not ended, and removes its row. Complete models stay.
    ///
    /// # Errors
    /// If it does not exist.
    pub async fn remove(&self, id: Uuid, keep_partial: bool) -> Result<Download, QueueError> {
        self.change(|reply| Command::Cancel {
            id,
            keep_partial,
            remove: true,
            reply,
        })
        .await
    }

    /// Changes with each download that is done: there is another model on this machine.
    pub fn completed(&self) -> watch::Receiver<u64> {
        self.completed.clone()
    }

    /// Stops all downloads, which stay queued. Returns when nothing is written any more.
    pub async fn shutdown(&self) {
        // Fails only if it has ended already.
        let _ = self.request(Command::Shutdown).await;
    }

    async fn change(&self, command: impl FnOnce(Reply) -> Command) -> Result<Download, QueueError> {
        self.request(command).await?
    }

    async fn request<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, QueueError> {
        let (reply, response) = oneshot::channel();
        self.commands
            .send(command(reply))
            .map_err(|_| QueueError::Closed)?;
        response.await.map_err(|_| QueueError::Closed)
    }
}

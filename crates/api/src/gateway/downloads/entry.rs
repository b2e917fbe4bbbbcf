//! One download of the queue.

use std::sync::Arc;
use std::time::Instant;

use mlxm_hub::CancellationToken;
use mlxm_store::downloads::{self as store, DownloadProgress};
use tokio::sync::oneshot;

use super::QueueError;
use super::decide::Activity;
use super::speed::Speed;
use super::tracker::{Phase, Progress, Tracker};
use crate::wire::downloads::{Download, DownloadState, WaitReason};

/// Why a pull was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It continues when a user says so.
    Pause,
    /// A user does not want it any more.
    Cancel {
        /// Whether partial files stay.
        keep_partial: bool,
        /// Whether its row is removed.
        remove: bool,
    },
    /// It continues when there is a place for it: the gateway exits, or a user has changed their mind.
    Requeue,
}

/// A running pull.
#[derive(Debug)]
pub struct Run {
    /// Stops it.
    pub cancel: CancellationToken,
    /// Its progress.
    pub tracker: Arc<Tracker>,
    /// Why it was stopped, if it was.
    pub stop: Option<Stop>,
    /// Who waits until it has stopped.
    pub replies: Vec<Reply>,
}

/// Where the state of a download is sent after a change.
pub type Reply = oneshot::Sender<Result<Download, QueueError>>;

/// A download of the queue.
#[derive(Debug)]
pub struct Entry {
    /// The row. Its progress is the last that was stored.
    pub row: store::Download,
    /// The state.
    pub state: DownloadState,
    /// What it waits for, and from when on it is tried again.
    pub waiting: Option<(WaitReason, Option<Instant>)>,
    /// Why it waits or failed.
    pub error: Option<String>,
    /// Bytes of all files.
    pub total_bytes: Option<u64>,
    /// Bytes on the disk.
    pub done_bytes: u64,
    /// Failed pulls in a row without progress.
    pub failures: u32,
    /// Bytes on the disk at the last failure.
    pub failed_at_bytes: u64,
    /// Whether it failed for lack of network or disk space.
    pub is_lost: bool,
    /// Its speed.
    pub speed: Speed,
    /// The pull, while there is one.
    pub run: Option<Run>,
}

impl Entry {
    /// A download as it is stored.
    pub fn new(row: store::Download) -> Self {
        Self {
            state: wire_state(row.progress.state),
            waiting: None,
            error: row.progress.error.clone(),
            total_bytes: row.progress.total_bytes,
            done_bytes: row.progress.done_bytes,
            failures: 0,
            failed_at_bytes: 0,
            is_lost: false,
            speed: Speed::default(),
            run: None,
            row,
        }
    }

    /// Whether it is over until a user starts it again.
    pub fn is_finished(&self) -> bool {
        matches!(
            self.state,
            DownloadState::Done | DownloadState::Failed | DownloadState::Cancelled
        )
    }

    /// What it does at `now`.
    pub fn activity(&self, now: Instant) -> Activity {
        if self.run.is_some() {
            return match self.state {
                DownloadState::Checking => Activity::Checking,
                _ => Activity::Running,
            };
        }
        let retry_at = self.waiting.and_then(|(_, retry_at)| retry_at);
        let is_due = retry_at.is_some_and(|retry_at| now >= retry_at);
        match self.state {
            DownloadState::Queued => Activity::Ready,
            DownloadState::Waiting if is_due => Activity::Ready,
            _ => Activity::Idle,
        }
    }

    /// Bytes that it will still write, as far as that is known.
    pub fn remaining_bytes(&self) -> u64 {
        if self.is_finished() || self.state == DownloadState::Paused {
            return 0;
        }
        let total_bytes = self.total_bytes.unwrap_or_default();
        total_bytes.saturating_sub(self.done_bytes)
    }

    /// Changes the state, which ends any wait.
    pub fn set_state(&mut self, state: DownloadState, error: Option<String>) {
        self.state = state;
        self.error = error;
        self.waiting = None;
        if !matches!(state, DownloadState::Running | DownloadState::Verifying) {
            self.speed.reset();
        }
    }

    /// Lets it wait; without a time, until its pull continues.
    pub fn wait(&mut self, reason: WaitReason, retry_at: Option<Instant>, error: String) {
        self.set_state(DownloadState::Waiting, Some(error));
        self.waiting = Some((reason, retry_at));
    }

    /// Applies the progress of its pull. Returns whether its state changed.
    pub fn apply(&mut self, progress: Progress, now: Instant) -> bool {
        let before = (self.state, self.waiting.map(|(reason, _)| reason));
        if progress.total_bytes.is_some() {
            self.total_bytes = progress.total_bytes;
            self.done_bytes = progress.done_bytes;
        }
        match progress.phase {
            Phase::Checking => self.set_state(DownloadState::Checking, None),
            Phase::Running => self.set_state(DownloadState::Running, None),
            Phase::Verifying => self.set_state(DownloadState::Verifying, None),
            Phase::Waiting(reason, error) => self.wait(reason, None, error),
        }
        if self.state == DownloadState::Running {
            self.speed.note(now, self.done_bytes);
        }
        before != (self.state, self.waiting.map(|(reason, _)| reason))
    }

    /// Counts a failed pull; returns how many have failed in a row without progress. Those that lost the network or the disk
    /// space are counted by themselves.
    pub fn count_failure(&mut self, is_lost: bool) -> u32 {
        if self.done_bytes > self.failed_at_bytes || is_lost != self.is_lost {
            self.failures = 0;
        }
        self.is_lost = is_lost;
        self.failed_at_bytes = self.done_bytes;
        self.failures += 1;
        self.failures
    }

    /// Notes the times that are stored with the state.
    pub fn note_times(&mut self, now_ms: i64) {
        if stored_state(self.state).is_active() {
            self.row.started_at_ms.get_or_insert(now_ms);
        }
        self.row.finished_at_ms = self
            .is_finished()
            .then(|| self.row.finished_at_ms.unwrap_or(now_ms));
    }

    /// What is stored.
    pub fn progress(&self) -> DownloadProgress {
        DownloadProgress {
            state: stored_state(self.state),
            total_bytes: self.total_bytes,
            done_bytes: self.done_bytes,
            error: self.error.clone(),
        }
    }

    /// As clients see it.
    pub fn to_wire(&self) -> Download {
        let bytes_per_second = self.speed.bytes_per_second();
        let remaining = self.remaining_bytes();
        let seconds = |speed: u64| remaining.checked_div(speed);
        Download {
            id: self.row.id,
            repo_id: self.row.repo_id.clone(),
            revision: self.row.revision.clone(),
            files: self.row.files.clone(),
            state: self.state,
            waiting_for: self.waiting.map(|(reason, _)| reason),
            total_bytes: self.total_bytes,
            done_bytes: self.done_bytes,
            bytes_per_second,
            remaining_seconds: bytes_per_second.and_then(seconds),
            error: self.error.clone(),
            created_at_ms: self.row.created_at_ms,
            started_at_ms: self.row.started_at_ms,
            finished_at_ms: self.row.finished_at_ms,
        }
    }
}

fn wire_state(state: store::DownloadState) -> DownloadState {
    match state {
        store::DownloadState::Queued => DownloadState::Queued,
        store::DownloadState::Checking => DownloadState::Checking,
        store::DownloadState::Running => DownloadState::Running,
        store::DownloadState::Verifying => DownloadState::Verifying,
        store::DownloadState::Waiting => DownloadState::Waiting,
        store::DownloadState::Paused => DownloadState::Paused,
        store::DownloadState::Done => DownloadState::Done,
        store::DownloadState::Failed => DownloadState::Failed,
        store::DownloadState::Cancelled => DownloadState::Cancelled,
    }
}

fn stored_state(state: DownloadState) -> store::DownloadState {
    match state {
        DownloadState::Queued => store::DownloadState::Queued,
        DownloadState::Checking => store::DownloadState::Checking,
        DownloadState::Running => store::DownloadState::Running,
        DownloadState::Verifying => store::DownloadState::Verifying,
        DownloadState::Waiting => store::DownloadState::Waiting,
        DownloadState::Paused => store::DownloadState::Paused,
        DownloadState::Done => store::DownloadState::Done,
        DownloadState::Failed => store::DownloadState::Failed,
        DownloadState::Cancelled => store::DownloadState::Cancelled,
    }
}

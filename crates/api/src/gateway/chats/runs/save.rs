//! What is stored of a run: a snapshot while it writes, and its result.

use std::convert::Infallible;
use std::time::Duration;

use mlxm_store::runs::{self, RunState, Snapshot};
use mlxm_store::{Store, StoreError};
use tokio::time::timeout;

use super::Runs;
use super::cell::RunCell;
use super::progress::Progress;
use crate::gateway::chats::convert;
use crate::wire::messages::MessageState;
use crate::wire::runs::{self as wire, FinishReason, Run};

/// Time from the first attempt to store a result to the second. It doubles with each attempt, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Stores a snapshot soon after each change, until it is dropped. A run whose chat was deleted for good is stopped.
pub async fn follow(store: &Store, cell: &RunCell) -> Infallible {
    loop {
        let progress = cell.next_snapshot().await;
        match save(store, progress).await {
            Ok(()) => {}
            Err(StoreError::NotFound { .. }) => cell.end(FinishReason::Stopped),
            Err(error) => {
                tracing::warn!(run = %cell.id, %error, "a response in progress could not be stored");
            }
        }
    }
}

/// Stores the result of a run that has ended. Returns whether that is done, or cannot be: not after a failure of the database.
pub async fn result(store: &Store, cell: &RunCell) -> bool {
    match save(store, cell.progress()).await {
        // Without a row, its chat was deleted for good.
        Ok(()) | Err(StoreError::NotFound { .. }) => true,
        Err(error @ StoreError::Invalid { .. }) => {
            tracing::error!(run = %cell.id, %error, "the result of a run was rejected");
            true
        }
        Err(error) => {
            tracing::error!(run = %cell.id, %error, "the result of a run could not be stored");
            false
        }
    }
}

/// As [`result`], again and again until it is done. When the gateway exits, there is one more attempt.
pub async fn result_later(store: &Store, cell: &RunCell, all: &Runs) {
    let mut pause = FIRST_PAUSE;
    loop {
        let is_closed = timeout(pause, all.closed()).await.is_ok();
        if result(store, cell).await || is_closed {
            return;
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

async fn save(store: &Store, progress: Progress) -> Result<(), StoreError> {
    let Progress { run, mut message } = progress;
    // Until the end, only the run has them.
    message.usage = message.usage.or(run.usage);
    let snapshot = Snapshot {
        run_id: run.id,
        state: state(&run, message.state),
        seq: run.seq,
        body: convert::body(message),
    };
    runs::save(store, &snapshot).await
}

fn state(run: &Run, message: MessageState) -> RunState {
    match message {
        MessageState::Running if run.state == wire::RunState::Waiting => RunState::Waiting,
        MessageState::Running => RunState::Running,
        MessageState::Complete => RunState::Finished,
        MessageState::Stopped => RunState::Stopped,
        MessageState::Interrupted => RunState::Interrupted,
        MessageState::Failed => RunState::Failed,
    }
}

//! What others see of the workers: records in the store, and events.

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Owner;
use crate::pool::plan::{WorkerId, WorkerState};
use crate::server::{ServerEvent, ServerRecord, ServerState, ServerStore};

/// A change of the store.
pub(super) enum StoreChange {
    Save(Box<ServerRecord>),
    Remove(Uuid),
}

/// Writes changes in their order. A store that fails does not stop the workers.
pub(super) fn start_writer(
    store: impl ServerStore,
) -> (UnboundedSender<StoreChange>, JoinHandle<()>) {
    let (changes, mut received) = mpsc::unbounded_channel();
    let writer = tokio::spawn(async move {
        while let Some(change) = received.recv().await {
            let result = match change {
                StoreChange::Save(record) => store.save(&record).await,
                StoreChange::Remove(id) => store.remove(id).await,
            };
            if let Err(error) = result {
                tracing::warn!("cannot store the state of a worker: {error}");
            }
        }
    });
    (changes, writer)
}

impl Owner {
    /// Copies the state of the plan to the record.
    pub(super) fn state_changed(&mut self, worker: WorkerId) {
        let (Some(running), Some(planned)) =
            (self.workers.get_mut(&worker), self.state.worker(worker))
        else {
            return;
        };
        running.record.state = match planned.state {
            WorkerState::Starting => ServerState::Starting,
            WorkerState::Ready => ServerState::Ready,
            WorkerState::Unhealthy => ServerState::Unhealthy,
            WorkerState::Stopping => ServerState::Stopping,
        };
        let record = running.record.clone();
        self.publish(record);
    }

    pub(super) fn publish(&self, record: ServerRecord) {
        let record = Box::new(record);
        self.change(StoreChange::Save(record.clone()));
        self.send(ServerEvent::Changed(record));
    }

    pub(super) fn change(&self, change: StoreChange) {
        // The writer ends only after this task.
        let _ = self.store.send(change);
    }

    pub(super) fn send(&self, event: ServerEvent) {
        // Fails only if there are no receivers.
        let _ = self.events.send(event);
    }
}

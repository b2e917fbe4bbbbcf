//! Runs that are about to be stored. Between the commit and the start of the task, a reader sees a message that a run writes: it
//! waits for that run.

use std::sync::Arc;

use mlxm_store::Uuid;

use super::Runs;
use super::cell::RunCell;
use crate::wire::runs::FinishReason;

/// A run that is known by its id.
pub enum Slot {
    /// It is being stored, in this chat.
    Reserved(Uuid),
    /// It is in progress.
    Running(Arc<RunCell>),
}

impl Slot {
    /// The chat of the run.
    pub fn chat(&self) -> Uuid {
        match self {
            Self::Reserved(chat) => *chat,
            Self::Running(cell) => cell.chat,
        }
    }

    /// The run, if it is in progress.
    pub fn cell(&self) -> Option<Arc<RunCell>> {
        match self {
            Self::Reserved(_) => None,
            Self::Running(cell) => Some(Arc::clone(cell)),
        }
    }
}

/// The id of a run that is not stored yet. Dropping it gives it up.
pub struct Reservation {
    runs: Runs,
    id: Uuid,
}

impl Runs {
    /// Announces a run that is about to be stored.
    pub(super) fn reserve(&self, chat: Uuid) -> Reservation {
        let id = Uuid::now_v7();
        self.lock().insert(id, Slot::Reserved(chat));
        Reservation {
            runs: self.clone(),
            id,
        }
    }
}

impl Reservation {
    /// The id that the run is stored with.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The run is stored. If the gateway exits, it ends at once.
    pub fn begin(self, cell: Arc<RunCell>) {
        let mut live = self.runs.lock();
        if *self.runs.0.closed.borrow() {
            cell.end(FinishReason::Interrupted);
        }
        live.insert(self.id, Slot::Running(cell));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut live = self.runs.lock();
        if matches!(live.get(&self.id), Some(Slot::Reserved(_))) {
            live.remove(&self.id);
        }
        drop(live);
        self.runs.0.begun.send_replace(());
    }
}

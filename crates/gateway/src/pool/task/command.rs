//! Requests to the task.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::pool::lease::Lease;
use crate::pool::owner::{PoolStatus, ShutdownMode};
use crate::pool::plan::{Arrival, Rejection, RequestId, Retained, Verdict, WorkerId};
use crate::server::ServerRecord;
use crate::settings::LoadSettings;

/// A request to the task.
#[derive(Debug)]
pub enum Command {
    /// A request needs a worker.
    Acquire {
        /// The request.
        arrival: Arrival,
        /// Gets the lease.
        reply: oneshot::Sender<Result<Lease, Rejection>>,
    },
    /// A request no longer waits.
    Cancel(RequestId),
    /// A lease ended.
    Release {
        /// Its worker.
        worker: WorkerId,
        /// Its request.
        request: RequestId,
    },
    /// What would a request get?
    DryRun {
        /// The request.
        arrival: Arrival,
        /// Gets the verdict.
        reply: oneshot::Sender<Verdict>,
    },
    /// Preload or pin a target.
    Retain(Retained),
    /// No longer preload or pin a target.
    Forget(Arc<LoadSettings>),
    /// Forget the failures of a target.
    Reset(Arc<LoadSettings>),
    /// Stop a worker.
    Stop {
        /// The worker.
        server: Uuid,
        /// Gets whether there is one.
        reply: oneshot::Sender<bool>,
    },
    /// Change the budget.
    SetBudget(u64),
    /// The OS is short of memory. Gets the worker that is stopped, if one is idle.
    MemoryPressure(oneshot::Sender<Option<ServerRecord>>),
    /// Describe the pool.
    Status(oneshot::Sender<PoolStatus>),
    /// Exit.
    Shutdown {
        /// What happens to the workers.
        mode: ShutdownMode,
        /// Gets the end.
        reply: oneshot::Sender<()>,
    },
}

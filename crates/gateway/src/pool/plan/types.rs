//! Events, actions and workers of the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::settings::{CacheSize, Class, LoadSettings, MemoryDemand, Target, Ttl, UserId};

/// Time since the pool was started, monotonic.
pub type Time = Duration;

/// A worker. Ids are not reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub(super) u64);

#[cfg(test)]
impl WorkerId {
    /// A worker of a test.
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

/// A request, chosen by the caller; unique among the waiting requests and leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Limits of the pool.
#[derive(Debug, Clone, Copy)]
pub struct PlanConfig {
    /// Memory for all workers together.
    pub budget_bytes: u64,
    /// Most waiting requests; further ones are rejected.
    pub max_waiting: usize,
    /// How long a request lacks memory before the workers that hold it get no more requests that arrived later.
    pub drain_after: Duration,
}

/// A request that needs a worker.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Its id.
    pub request: RequestId,
    /// The model.
    pub target: Target,
    /// The memory that the model can be loaded with.
    pub demand: Arc<MemoryDemand>,
    /// Who sent it.
    pub user: UserId,
    /// Order among the user's requests.
    pub class: Class,
    /// Longest wait for memory or for a busy worker. The time that the worker itself takes to start does not count.
    pub queue_timeout: Duration,
}

/// A target that is started without a request.
#[derive(Debug, Clone)]
pub struct Retained {
    /// The model.
    pub target: Target,
    /// The memory that the model can be loaded with.
    pub demand: Arc<MemoryDemand>,
    /// Whether it stays loaded: it is not evicted, does not expire, and is started again after a crash. Otherwise it is started
    /// once.
    pub pinned: bool,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A request needs a worker.
    Acquire(Arrival),
    /// A waiting request is no longer interested.
    Cancel(RequestId),
    /// A lease ended: the last byte was sent, or the client disconnected.
    Release {
        /// Its worker.
        worker: WorkerId,
        /// Its request.
        request: RequestId,
    },
    /// A target is to be preloaded or pinned. Replaces an earlier one with equal settings.
    Retain(Retained),
    /// A target is no longer to be preloaded or pinned.
    Forget(Arc<LoadSettings>),
    /// A user starts a target, or its settings changed: earlier failures no longer count.
    Reset(Arc<LoadSettings>),
    /// A worker has loaded its model.
    Ready {
        /// The worker.
        worker: WorkerId,
        /// Its own memory plan.
        plan_bytes: u64,
    },
    /// A worker stopped responding.
    Unhealthy(WorkerId),
    /// A worker responds again.
    Healthy(WorkerId),
    /// The process of a worker has exited.
    Exited {
        /// The worker.
        worker: WorkerId,
        /// Whether it may be started again.
        next: AfterExit,
    },
    /// A user stops a worker, even if it is busy. Its waiting requests are rejected, and it is no longer pinned.
    Stop(WorkerId),
    /// A user no longer wants a target whose worker has exited. Its waiting requests are rejected, and it is no longer pinned.
    Dismiss(Arc<LoadSettings>),
    /// The budget changed.
    SetBudget(u64),
    /// The OS is short of memory: one idle worker is stopped.
    MemoryPressure,
    /// The gateway exits: waiting requests are rejected and nothing is started any more.
    Shutdown,
    /// Time has passed.
    Tick,
}

/// Whether a worker may be started again after its exit.
#[derive(Debug, Clone)]
pub enum AfterExit {
    /// Whenever it is needed.
    Gone,
    /// Not before this time.
    RetryAt(Time),
    /// Not until [`Event::Reset`].
    Failed(WorkerFailure),
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start a process.
    Start {
        /// The new worker.
        worker: WorkerId,
        /// The model.
        target: Target,
        /// Size of its cache, and its memory plan.
        size: CacheSize,
    },
    /// Stop a process.
    Stop {
        /// The worker.
        worker: WorkerId,
        /// Why.
        reason: StopReason,
    },
    /// A request has a lease.
    Grant {
        /// The request.
        request: RequestId,
        /// The worker.
        worker: WorkerId,
    },
    /// A request is rejected.
    Reject {
        /// The request.
        request: RequestId,
        /// Why.
        rejection: Rejection,
    },
}

/// Why a worker is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Its memory is needed.
    Evicted,
    /// It was idle for its TTL.
    Expired,
    /// The OS is short of memory.
    MemoryPressure,
    /// A user stopped it.
    Requested,
    /// Its program is of another version.
    Outdated,
}

/// Why a target cannot be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFailure {
    /// Stable code: that of the worker's `failed` line, or `crash_loop`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub advice: String,
    /// Whether the model or an option is at fault, so that the same start fails again.
    pub permanent: bool,
}

/// A worker that holds memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The worker.
    pub worker: WorkerId,
    /// Name of its model.
    pub name: String,
    /// Its memory plan.
    pub plan_bytes: u64,
    /// Its running requests.
    pub leases: usize,
}

/// Why a request gets no worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The model is larger than the whole budget.
    #[error(
        "{name} needs {needed_bytes} bytes, but the memory budget of all models is {budget_bytes} bytes; {}",
        context_advice(.largest_context.to_owned())
    )]
    DoesNotFit {
        /// Name of the model.
        name: String,
        /// Its smallest plan.
        needed_bytes: u64,
        /// The budget.
        budget_bytes: u64,
        /// The longest context that fits in the budget; 0 if none does.
        largest_context: u64,
    },
    /// The model does not fit in addition to the pinned ones.
    #[error(
        "{name} needs {needed_bytes} bytes, but pinned models hold {} of the budget of {budget_bytes} bytes: {}; unpin one",
        held_bytes(.holders),
        names(.holders)
    )]
    Pinned {
        /// Name of the model.
        name: String,
        /// Its smallest plan.
        needed_bytes: u64,
        /// The budget.
        budget_bytes: u64,
        /// The pinned workers.
        holders: Vec<Holder>,
    },
    /// No memory or no capacity became free in time.
    #[error(
        "waited {} s for {name}; the memory is in use by {}; try again later",
        .waited.as_secs(),
        names(.holders)
    )]
    QueueTimeout {
        /// Name of the model.
        name: String,
        /// How long the request waited.
        waited: Duration,
        /// The workers with running requests.
        holders: Vec<Holder>,
    },
    /// Too many requests are waiting.
    #[error("{limit} requests are waiting already; try again later")]
    QueueFull {
        /// The limit.
        limit: usize,
    },
    /// The worker cannot be started.
    #[error("{}: {}; {}", .0.code, .0.message, .0.advice)]
    WorkerFailed(WorkerFailure),
    /// A user stopped the worker while the request was waiting for it.
    #[error("the model was stopped by a user; send the request again to start it")]
    Stopped,
    /// The gateway exits.
    #[error("the gateway is shutting down")]
    ShuttingDown,
}

fn context_advice(largest_context: u64) -> String {
    if largest_context == 0 {
        "use a smaller model or one with fewer bits per weight".to_owned()
    } else {
        format!("a context of {largest_context} tokens would fit")
    }
}

fn held_bytes(holders: &[Holder]) -> u64 {
    holders.iter().map(|holder| holder.plan_bytes).sum()
}

fn names(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "no running request".to_owned();
    }
    let names: Vec<&str> = holders.iter().map(|holder| holder.name.as_str()).collect();
    names.join(", ")
}

/// State of a worker whose process exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// It loads the model.
    Starting,
    /// It accepts requests.
    Ready,
    /// It does not respond.
    Unhealthy,
    /// It has been requested to exit.
    Stopping,
}

/// A worker whose process exists.
#[derive(Debug, Clone)]
pub struct Worker {
    /// What it was started for, with the TTL of the last request.
    pub target: Target,
    /// Size of its cache, and its memory plan.
    pub size: CacheSize,
    /// Its state.
    pub state: WorkerState,
    /// Whether its program is of another version: it is stopped as soon as it is idle.
    pub outdated: bool,
    /// Its running requests.
    pub leases: BTreeSet<RequestId>,
    /// When its last request ended, or it was started or became ready.
    pub last_used: Time,
    /// The waiting request for which it drains: it gets no requests that arrived later.
    pub(super) draining_for: Option<u64>,
    /// For each user, the number of the last grant.
    pub(super) turns: BTreeMap<UserId, u64>,
}

impl Worker {
    /// Most requests at once: twice as many as its sequences, so that the worker's own queue is never empty under load.
    pub fn max_leases(&self) -> usize {
        2 * usize::from(self.target.settings.max_sequences.max(1))
    }

    /// When its TTL expires, if it is ready and idle.
    pub(super) fn expires_at(&self) -> Option<Time> {
        match self.target.ttl {
            Ttl::After(ttl) if self.state == WorkerState::Ready && self.leases.is_empty() => {
                Some(self.last_used.saturating_add(ttl))
            }
            _ => None,
        }
    }

    pub(super) fn is_expired(&self, now: Time) -> bool {
        self.expires_at().is_some_and(|time| time <= now)
    }
}

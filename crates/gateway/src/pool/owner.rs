//! The handle of the pool. One task owns its state; see `task`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{broadcast, oneshot};
use uuid::Uuid;

use super::estimate::{EstimateError, Estimator};
use super::lease::{CancelOnDrop, Lease};
use super::plan::{Arrival, PlanConfig, Rejection, RequestId, Retained, Verdict};
use super::task::{self, Command};
use crate::process::LaunchConfig;
use crate::server::{ServerEvent, ServerFailure, ServerRecord, ServerStore, StoreError};
use crate::settings::{Class, LoadSettings, MemoryDemand, Target, UserId};

/// Events that a slow receiver may be late.
const EVENT_CAPACITY: usize = 1024;

/// Options of a pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Memory for all workers together, in bytes.
    pub budget_bytes: u64,
    /// Most waiting requests; further ones are rejected.
    pub max_waiting: usize,
    /// How long a request lacks memory before the workers that hold it get no more requests that arrived later.
    pub drain_after: Duration,
    /// Compute threads of a worker that computes alone; workers that compute at the same time share them.
    pub compute_threads: usize,
    /// How workers are started.
    pub launch: LaunchConfig,
}

/// A request for a worker.
#[derive(Debug, Clone)]
pub struct AcquireRequest {
    /// The model.
    pub target: Target,
    /// Who sent it.
    pub user: UserId,
    /// Order among the user's requests.
    pub class: Class,
    /// Longest wait for memory or for a busy worker.
    pub queue_timeout: Duration,
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// The pool rejected the request.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The model is not valid.
    #[error(transparent)]
    Estimate(#[from] EstimateError),
    /// The pool has exited.
    #[error("the gateway has shut down")]
    Closed,
}

/// What happens to the workers when the gateway exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownMode {
    /// They complete their requests and exit.
    StopWorkers,
    /// They keep running, to be adopted by the next gateway within their grace period.
    KeepWorkers,
}

/// A worker: one that is running, or one that failed.
#[derive(Debug, Clone)]
pub struct ServerStatus {
    /// Its record.
    pub record: ServerRecord,
    /// Its running requests.
    pub running: usize,
    /// Whether it is kept when idle, whatever else needs its memory.
    pub pinned: bool,
    /// When its last request was granted or ended, in UTC milliseconds since 1970; `None` if this gateway sent it none.
    pub last_used_at_ms: Option<u64>,
    /// Why it failed; `None` if its process exists.
    pub failure: Option<ServerFailure>,
}

/// The pool as a whole.
#[derive(Debug, Clone)]
pub struct PoolStatus {
    /// Memory for all workers together.
    pub budget_bytes: u64,
    /// Plans of all workers whose process exists.
    pub used_bytes: u64,
    /// Waiting requests.
    pub waiting: usize,
    /// The workers whose process exists.
    pub servers: Vec<ServerStatus>,
    /// Workers that crashed or could not be started, until they are started again, or dismissed by [`Pool::stop`].
    pub failed: Vec<ServerStatus>,
}

impl PoolStatus {
    /// All workers: those whose process exists, and those that failed.
    pub fn all(self) -> Vec<ServerStatus> {
        let mut servers = self.servers;
        servers.extend(self.failed);
        servers
    }
}

/// A handle of the pool. Clones refer to the same pool. When the last handle and lease are dropped, the pool exits and its
/// workers keep running.
#[derive(Debug, Clone)]
pub struct Pool {
    commands: UnboundedSender<Command>,
    events: broadcast::Sender<ServerEvent>,
    estimator: Arc<Estimator>,
    budget_bytes: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
}

impl Pool {
    /// Adopts the workers of an earlier gateway that still run, and starts the pool.
    ///
    /// # Errors
    /// If the store cannot be read: without it, running workers would be started a second time.
    pub async fn start(options: PoolOptions, store: impl ServerStore) -> Result<Self, StoreError> {
        let (events, _) = broadcast::channel(EVENT_CAPACITY);
        let estimator = Estimator::new(options.launch.program.clone());
        let budget_bytes = options.budget_bytes;
        let plan = PlanConfig {
            budget_bytes,
            max_waiting: options.max_waiting,
            drain_after: options.drain_after,
        };
        let threads = options.compute_threads;
        let commands = task::start(plan, threads, options.launch, store, events.clone()).await?;
        Ok(Self {
            commands,
            events,
            estimator: Arc::new(estimator),
            budget_bytes: Arc::new(AtomicU64::new(budget_bytes)),
            requests: Arc::default(),
        })
    }

    /// Waits for a worker, starting it if there is none. If the future is dropped, the request leaves the queue; the worker that
    /// was started for it continues.
    ///
    /// # Errors
    /// If the model is not valid, does not fit, or cannot be started, or no memory became free in time.
    pub async fn acquire(&self, request: AcquireRequest) -> Result<Lease, AcquireError> {
        let arrival = self.arrival(request).await?;
        let request = arrival.request;
        let (reply, granted) = oneshot::channel();
        self.send(Command::Acquire { arrival, reply })?;
        let _cancel = CancelOnDrop {
            request,
            commands: self.commands.clone(),
        };
        Ok(granted.await.map_err(|_| AcquireError::Closed)??)
    }

    /// What [`Self::acquire`] would do now.
    ///
    /// # Errors
    /// If the model is not valid.
    pub async fn dry_run(&self, request: AcquireRequest) -> Result<Verdict, AcquireError> {
        let arrival = self.arrival(request).await?;
        self.request(|reply| Command::DryRun { arrival, reply })
            .await
    }

    /// Preloads a model in memory that no request waits for, or pins it: then it stays loaded.
    ///
    /// # Errors
    /// If the model is not valid.
    pub async fn retain(&self, target: Target, pinned: bool) -> Result<(), AcquireError> {
        let demand = self.demand(&target).await?;
        self.send(Command::Retain(Retained {
            target,
            demand,
            pinned,
        }))
    }

    /// Ends the preloading or pinning of a model; its worker becomes an ordinary one.
    ///
    /// # Errors
    /// If the pool has exited.
    pub fn forget(&self, target: &Target) -> Result<(), AcquireError> {
        self.send(Command::Forget(Arc::clone(&target.settings)))
    }

    /// Allows starts of a model that failed, such as after its files or settings changed.
    ///
    /// # Errors
    /// If the pool has exited.
    pub fn reset(&self, target: &Target) -> Result<(), AcquireError> {
        self.send(Command::Reset(Arc::clone(&target.settings)))
    }

    /// Stops a worker, even if it is busy: it completes its requests for up to 30 s. One that failed is no longer listed. Returns
    /// whether there is one with this id.
    ///
    /// # Errors
    /// If the pool has exited.
    pub async fn stop(&self, server: Uuid) -> Result<bool, AcquireError> {
        self.request(|reply| Command::Stop { server, reply }).await
    }

    /// Changes the budget. Idle workers are evicted until the plans fit; busy ones continue.
    ///
    /// # Errors
    /// If the pool has exited.
    pub fn set_budget(&self, bytes: u64) -> Result<(), AcquireError> {
        self.budget_bytes.store(bytes, Ordering::Relaxed);
        self.send(Command::SetBudget(bytes))
    }

    /// Evicts one idle worker that is not pinned, because the OS is short of memory. Returns its record, or `None` if there is
    /// none.
    ///
    /// # Errors
    /// If the pool has exited.
    pub async fn memory_pressure(&self) -> Result<Option<ServerRecord>, AcquireError> {
        self.request(Command::MemoryPressure).await
    }

    /// The budget, its use, and the running workers.
    ///
    /// # Errors
    /// If the pool has exited.
    pub async fn servers(&self) -> Result<PoolStatus, AcquireError> {
        self.request(Command::Status).await
    }

    /// The memory that a target can be loaded with.
    ///
    /// # Errors
    /// If the model is not valid, or its metadata are too large.
    pub async fn demand(&self, target: &Target) -> Result<Arc<MemoryDemand>, EstimateError> {
        let budget_bytes = self.budget_bytes.load(Ordering::Relaxed);
        self.estimator
            .estimate(&target.settings, budget_bytes)
            .await
    }

    /// What `mlxm show --json` says about a model with these settings: its architecture, size, context and capabilities. It runs
    /// in a child process with limits, once while the files do not change.
    ///
    /// # Errors
    /// If the model is not valid, or its metadata are too large.
    pub async fn describe(&self, settings: &LoadSettings) -> Result<Arc<Value>, EstimateError> {
        let budget_bytes = self.budget_bytes.load(Ordering::Relaxed);
        self.estimator.describe(settings, budget_bytes).await
    }

    /// Changes of the workers from now on.
    pub fn events(&self) -> broadcast::Receiver<ServerEvent> {
        self.events.subscribe()
    }

    /// Rejects waiting requests and exits. Returns when all records are stored and, if they are stopped, all workers have
    /// exited.
    ///
    /// # Errors
    /// If the pool has exited.
    pub async fn shutdown(&self, mode: ShutdownMode) -> Result<(), AcquireError> {
        self.request(|reply| Command::Shutdown { mode, reply })
            .await
    }

    async fn arrival(&self, request: AcquireRequest) -> Result<Arrival, AcquireError> {
        let demand = self.demand(&request.target).await?;
        Ok(Arrival {
            request: RequestId(self.requests.fetch_add(1, Ordering::Relaxed)),
            target: request.target,
            demand,
            user: request.user,
            class: request.class,
            queue_timeout: request.queue_timeout,
        })
    }

    fn send(&self, command: Command) -> Result<(), AcquireError> {
        self.commands
            .send(command)
            .map_err(|_| AcquireError::Closed)
    }

    async fn request<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, AcquireError> {
        let (reply, response) = oneshot::channel();
        self.send(command(reply))?;
        response.await.map_err(|_| AcquireError::Closed)
    }
}

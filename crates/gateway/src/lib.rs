//! The core of the gateway: worker processes and the pool that starts, shares and evicts them.
//!
//! [`Pool::start`] adopts the workers of an earlier gateway and starts the owner task. [`Pool::acquire`] returns a [`Lease`] for
//! a request: it starts a worker if none has the model, waits while the memory is in use, and evicts idle workers. Neither HTTP
//! routes nor a database are here: they use the [`Pool`] handle, its [`ServerEvent`]s, and implement [`ServerStore`].
//!
//! # Map
//! - [`pool`]: admission by bytes (`plan`, pure), the task that owns the state (`owner`), leases, memory estimates.
//! - [`process`]: one worker process: spawn, output, log file, health, exit, adoption.
//! - [`settings`]: what defines a worker and what a request demands. [`server`]: records, states and events of workers.
//!
//! # Invariants
//! - The gateway runs no model and reads no weights: this crate does not depend on the engine. Memory plans come from a
//!   short-lived child process.
//! - One task owns the pool's state. Decisions are a pure function: state and event in, actions out.
//! - The plans of all workers whose process exists, stopping ones included, never exceed the budget by a start.
//! - A worker that holds a lease is never evicted.

mod host;
pub mod pool;
pub mod process;
pub mod server;
pub mod settings;
mod time;

pub use host::{host_name, max_open_files};
pub use pool::estimate::EstimateError;
pub use pool::lease::Lease;
pub use pool::owner::{
    AcquireError, AcquireRequest, Pool, PoolOptions, PoolStatus, ServerStatus, ShutdownMode,
};
pub use process::{
    ExitCause, LaunchConfig, LogFile, LogHistory, LogLine, LogPosition, LogTail, LogWriter,
    ProcessUse, Timings, WorkerKeys, process_use, remove_old_logs,
};
pub use server::{
    ProcessIdentity, ServerEvent, ServerFailure, ServerRecord, ServerState, ServerStore, StoreError,
};
pub use settings::{
    CacheSize, Class, FixedMemory, LoadSettings, MemoryDemand, Target, Ttl, UserId,
};

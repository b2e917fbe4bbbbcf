//! Progress events of a pull.
//!
//! ```text
//! pull    = Planned file* Done
//! file    = Reused | Waiting? attempt (Retrying attempt)* Finished | Waiting Reused
//! attempt = Started Advanced*
//! ```
//!
//! Events of different files interleave; those of one file come in this order. `Planned` comes
//! before any file, `Done` after all of them. A pull that fails or is cancelled emits no `Done`.
//!
//! Positions are absolute. `Started` sets the position of a file, which may be lower than before if the server could
//! not resume the transfer or sent corrupt data.
//!
//! Handlers run inside the transfer, so they must return quickly and must not panic.

use std::path::PathBuf;
use std::time::Duration;

/// A progress event. The [module documentation](self) specifies the order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PullEvent {
    /// The download plan.
    Planned {
        /// Number of files in the snapshot.
        files: usize,
        /// Total size in bytes.
        total_bytes: u64,
        /// Bytes that are already on disk, including partial files.
        reused_bytes: u64,
    },
    /// The content is already on disk or was downloaded with another file of this pull.
    Reused {
        /// Path in the repository.
        file: String,
        /// Size in bytes.
        size_bytes: u64,
    },
    /// Waiting for another process that is downloading this file.
    Waiting {
        /// Path in the repository.
        file: String,
    },
    /// A transfer begins.
    Started {
        /// Path in the repository.
        file: String,
        /// Size in bytes.
        size_bytes: u64,
        /// Start position: the bytes that are already on disk.
        position_bytes: u64,
    },
    /// Bytes were received.
    Advanced {
        /// Path in the repository.
        file: String,
        /// Bytes of the file received so far.
        position_bytes: u64,
    },
    /// An attempt failed and will be retried.
    Retrying {
        /// Path in the repository.
        file: String,
        /// Why it failed.
        reason: String,
        /// Number of consecutive attempts without progress, including this one.
        attempt: u32,
        /// Delay before the next attempt.
        delay: Duration,
    },
    /// The file is complete and verified.
    Finished {
        /// Path in the repository.
        file: String,
        /// Size in bytes.
        size_bytes: u64,
    },
    /// The snapshot is complete.
    Done {
        /// Snapshot directory.
        snapshot: PathBuf,
    },
}

/// Receives progress events. Implemented for closures that take `&PullEvent`.
pub trait ProgressHandler: Send + Sync {
    /// Called for each event; must return quickly.
    fn on_event(&self, event: &PullEvent);
}

impl<F: Fn(&PullEvent) + Send + Sync> ProgressHandler for F {
    fn on_event(&self, event: &PullEvent) {
        self(event);
    }
}

/// A handler that ignores all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl ProgressHandler for NoProgress {
    fn on_event(&self, _event: &PullEvent) {}
}

//! What a pull tells while it runs.
//!
//! ```text
//! pull    = Planned file* Done
//! file    = Reused | Waiting? attempt (Retrying attempt)* Finished | Waiting Reused
//! attempt = Started Advanced*
//! ```
//!
//! Events of different files interleave; those of one file come in this order. `Planned` comes
//! before any file, `Done` after all of them. A pull that fails or is cancelled ends without
//! `Done`: the result of the call says why.
//!
//! Positions are absolute. `Started` sets a file's position, which may be lower than before when
//! a server could not continue where the transfer stopped or sent damaged bytes.
//!
//! A handler is called from within the transfer, so it must return quickly and must not panic.

use std::path::PathBuf;
use std::time::Duration;

/// One step of a pull; the [module](self) describes the order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PullEvent {
    /// What will be done.
    Planned {
        /// Files of the snapshot.
        files: usize,
        /// Their size together.
        total_bytes: u64,
        /// How much of it is on disk already, partial files included.
        reused_bytes: u64,
    },
    /// The content is on disk already, or came with another file of this pull.
    Reused {
        /// Path in the repository.
        file: String,
        /// Its size.
        size_bytes: u64,
    },
    /// Another process is fetching this file; waiting for it.
    Waiting {
        /// Path in the repository.
        file: String,
    },
    /// A transfer begins.
    Started {
        /// Path in the repository.
        file: String,
        /// Its size.
        size_bytes: u64,
        /// Where the transfer begins: the bytes an earlier attempt left.
        position_bytes: u64,
    },
    /// Bytes arrived.
    Advanced {
        /// Path in the repository.
        file: String,
        /// Bytes of the file that are here now.
        position_bytes: u64,
    },
    /// An attempt failed and will be repeated.
    Retrying {
        /// Path in the repository.
        file: String,
        /// Why it failed.
        reason: String,
        /// How many attempts in a row brought nothing, this one included.
        attempt: u32,
        /// The wait before the next one.
        delay: Duration,
    },
    /// The file is complete and verified.
    Finished {
        /// Path in the repository.
        file: String,
        /// Its size.
        size_bytes: u64,
    },
    /// The snapshot is complete.
    Done {
        /// Its folder.
        snapshot: PathBuf,
    },
}

/// Receives the events of a pull. Closures over `&PullEvent` are handlers.
pub trait ProgressHandler: Send + Sync {
    /// Called for each event; must return quickly.
    fn on_event(&self, event: &PullEvent);
}

impl<F: Fn(&PullEvent) + Send + Sync> ProgressHandler for F {
    fn on_event(&self, event: &PullEvent) {
        self(event);
    }
}

/// A handler that drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl ProgressHandler for NoProgress {
    fn on_event(&self, _event: &PullEvent) {}
}

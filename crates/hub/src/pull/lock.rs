//! File lock that ensures one writer per blob across processes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::HubError;
use crate::layout::create_dir;

/// Blocking lock calls cannot be cancelled, so the lock is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Exclusive lock on a blob, held until dropped. The lock file is not deleted, for compatibility with
/// `huggingface_hub`.
#[derive(Debug)]
pub(super) struct BlobLock {
    _file: File,
    is_exclusive: bool,
}

impl BlobLock {
    /// Waits for the lock at `path`. Calls `waiting` once if another process holds it.
    pub async fn acquire(
        path: &Path,
        cancel: &CancellationToken,
        mut waiting: impl FnMut(),
    ) -> Result<Self, HubError> {
        if let Some(parent) = path.parent() {
            create_dir(parent)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|error| HubError::io("open", path, &error))?;
        let mut announced = false;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    return Ok(Self {
                        _file: file,
                        is_exclusive: true,
                    });
                }
                // File systems without lock support are allowed; see `is_exclusive`.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(Self {
                        _file: file,
                        is_exclusive: false,
                    });
                }
                Err(TryLockError::Error(error)) => return Err(HubError::io("lock", path, &error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if !announced {
                announced = true;
                waiting();
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(HubError::Cancelled),
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }

    /// Whether the lock excludes other processes. If not, another process may have written the file, so its content on
    /// disk must be verified.
    pub fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    #[cfg(test)]
    pub fn unsupported(path: &Path) -> Self {
        Self {
            _file: File::create(path).unwrap(),
            is_exclusive: false,
        }
    }
}

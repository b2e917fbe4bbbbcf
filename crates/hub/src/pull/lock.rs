//! One writer per blob, among all processes that use the cache.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::HubError;
use crate::layout::create_dir;

/// Advisory locks have no way to be waited for together with a cancellation.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The right to write a blob, until dropped. The lock file stays, as other programs expect.
#[derive(Debug)]
pub(super) struct BlobLock {
    _file: File,
    is_exclusive: bool,
}

impl BlobLock {
    /// Waits for the lock at `path`; `waiting` is called once if another process has it.
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
                // A file system without locks is no reason to refuse; see `is_exclusive`.
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

    /// Whether other processes are kept out. Where they are not, what is on disk may be another
    /// one's work and must be checked as such.
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

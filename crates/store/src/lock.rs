//! The lock that keeps a second gateway from opening the same SQLite file.

use crate::error::StoreError;
use crate::time::now_ms;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The process that holds the lock, from the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Process id.
    pub pid: u32,
    /// Version of mlxm.
    pub version: String,
    /// What the process is, such as "the gateway at http://127.0.0.1:8080".
    pub description: String,
    /// When it took the lock.
    pub since_ms: i64,
}

impl LockHolder {
    /// This process.
    pub(crate) fn this_process(description: &str) -> Self {
        Self {
            pid: std::process::id(),
            version: crate::VERSION.to_owned(),
            description: description.to_owned(),
            since_ms: now_ms(),
        }
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} (mlxm {}, process {})",
            self.description, self.version, self.pid
        )
    }
}

/// An exclusive lock on a database file. The system releases it when the value is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DatabaseLock {
    _file: File,
}

impl DatabaseLock {
    /// Takes the lock of a database, or returns [`StoreError::Locked`] with its holder.
    pub(crate) fn acquire(database: &Path, holder: &LockHolder) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io("open the lock file", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    database: database.to_owned(),
                    holder: read_holder(&path),
                });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
        }
        write_holder(&mut file, holder).map_err(StoreError::io("write the lock file", &path))?;
        Ok(Self { _file: file })
    }
}

/// `mlxm.db.lock` for `mlxm.db`. The file is never deleted: a process could lock a deleted file.
fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn write_holder(file: &mut File, holder: &LockHolder) -> std::io::Result<()> {
    let line = serde_json::to_string(holder)?;
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(line.as_bytes())
}

/// `None` if the holder has not written its entry yet.
fn read_holder(path: &Path) -> Option<LockHolder> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

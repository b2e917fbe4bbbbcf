//! The gateway's own file in its home directory: its id in the database, and the lock that keeps a second gateway away.
//!
//! The lock of a SQLite file does the same, but gateways that share a Postgres database have directories of their own, too.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use mlxm_store::Uuid;

const FILE_NAME: &str = "gateway.id";

/// Why the home directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another gateway uses it.
    #[error("another gateway uses {}: stop it first, or set MLXM_HOME to another directory", .0.display())]
    InUse(PathBuf),
    /// A file operation failed.
    #[error("cannot use {}: {error}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

/// A home directory that no other gateway uses. The system releases it when the value is dropped or the process ends.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    file: File,
}

impl Home {
    /// Takes a home directory, which is created if it does not exist.
    ///
    /// # Errors
    /// If another gateway uses it, or it cannot be written.
    pub fn acquire(home: &Path) -> Result<Self, HomeError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| HomeError::Io { path, error }
        };
        fs::create_dir_all(home).map_err(failed(home))?;
        let path = home.join(FILE_NAME);
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, file }),
            Err(TryLockError::WouldBlock) => Err(HomeError::InUse(home.to_owned())),
            Err(TryLockError::Error(error)) => Err(HomeError::Io { path, error }),
        }
    }

    /// The id of the previous start; `None` if there was none, or its file is damaged.
    pub fn id(&mut self) -> Option<Uuid> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0)).ok()?;
        self.file.read_to_string(&mut text).ok()?;
        Uuid::try_parse(text.trim()).ok()
    }

    /// Keeps the id for the next start.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set_id(&mut self, id: Uuid) -> Result<(), HomeError> {
        self.write(id).map_err(|error| HomeError::Io {
            path: self.path.clone(),
            error,
        })
    }

    fn write(&mut self, id: Uuid) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        writeln!(self.file, "{id}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_has_one_gateway_at_a_time_and_keeps_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/home");
        let mut home = Home::acquire(&path).unwrap();
        assert_eq!(home.id(), None);
        let id = Uuid::now_v7();
        home.set_id(id).unwrap();
        assert!(matches!(Home::acquire(&path), Err(HomeError::InUse(_))));
        drop(home);
        let mut home = Home::acquire(&path).unwrap();
        assert_eq!(home.id(), Some(id));
    }

    #[test]
    fn damaged_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join(FILE_NAME),
            "not an id, and longer than one is",
        )
        .unwrap();
        let mut home = Home::acquire(folder.path()).unwrap();
        assert_eq!(home.id(), None);
        let id = Uuid::now_v7();
        home.set_id(id).unwrap();
        assert_eq!(home.id(), Some(id));
    }
}

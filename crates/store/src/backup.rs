//! Online backups of a SQLite database.

use crate::connect::Location;
use crate::error::StoreError;
use crate::{copies, files, migrations, sqlite};
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
}

/// Copies the database to a new file, also while a gateway uses it. The file appears under its name when it is complete,
/// readable by its owner only. It does **not** contain the secret file: without it, encrypted settings must be entered
/// again after a restore.
///
/// # Errors
/// [`StoreError::Exists`] if the file exists, [`StoreError::NotADatabase`] if there is no database, and
/// [`StoreError::SqliteOnly`] for Postgres, which has its own programs for backups.
pub async fn backup(location: &Location, target: &Path) -> Result<Backup, StoreError> {
    let Location::Sqlite(database) = location else {
        return Err(StoreError::SqliteOnly {
            operation: "backup",
            instead: "pg_dump",
        });
    };
    let database = sqlite::absolute(database)?;
    let target = sqlite::absolute(target)?;
    check_source(&database).await?;
    if fs::symlink_metadata(&target).is_ok() {
        return Err(StoreError::Exists { path: target });
    }
    let partial = files::with_suffix(&target, &format!(".{}.partial", Uuid::now_v7()));
    copies::copy(&database, &partial).await?;
    fs::rename(&partial, &target).map_err(StoreError::io("rename", &partial))?;
    files::sync_directory_of(&target).map_err(StoreError::io("sync", &target))?;
    let size_bytes = fs::metadata(&target)
        .map_err(StoreError::io("read", &target))?
        .len();
    Ok(Backup {
        path: target,
        size_bytes,
    })
}

/// An error unless the file is a database that this version can use.
pub(crate) async fn check_source(path: &Path) -> Result<(), StoreError> {
    let not_a_database = |reason: &str| StoreError::NotADatabase {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    if !path.is_file() {
        return Err(not_a_database("there is no such file"));
    }
    let connection = sqlite::reader(path).await?;
    let applied = migrations::applied_to_file(&connection, path).await;
    connection.close_by_ref().await?;
    match applied? {
        Some(applied) => applied.check(&path.display().to_string()),
        None => Err(not_a_database("the file is empty")),
    }
}

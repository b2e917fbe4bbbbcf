//! Replacing a SQLite database with a backup.

use crate::backup::check_source;
use crate::connect::Location;
use crate::error::StoreError;
use crate::lock::{DatabaseLock, LockHolder};
use crate::time::now_ms;
use crate::{copies, files, sqlite};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use std::fs;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A finished restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The database.
    pub path: PathBuf,
    /// Where the replaced database is now, if there was one.
    pub replaced: Option<PathBuf>,
}

/// Replaces the database with a backup, and keeps the replaced one as `mlxm.db.replaced.<time>`. The backup is checked
/// first, and is not changed. An older one is migrated when the gateway starts.
///
/// # Errors
/// [`StoreError::Locked`] while a gateway is running, [`StoreError::NotADatabase`] for another or a damaged file,
/// [`StoreError::NewerDatabase`] for a backup of a newer version, and [`StoreError::SqliteOnly`] for Postgres. The database
/// is not changed then.
pub async fn restore(location: &Location, source: &Path) -> Result<Restored, StoreError> {
    let Location::Sqlite(database) = location else {
        return Err(StoreError::SqliteOnly {
            operation: "restore",
            instead: "pg_restore",
        });
    };
    let database = sqlite::absolute(database)?;
    let source = sqlite::absolute(source)?;
    check_source(&source).await?;
    if let Some(directory) = database.parent() {
        fs::create_dir_all(directory).map_err(StoreError::io("create", directory))?;
    }
    let _lock = DatabaseLock::acquire(&database, &LockHolder::this_process("`mlxm restore`"))?;
    let incoming = files::with_suffix(&database, &format!(".{}.restoring", Uuid::now_v7()));
    copies::copy(&source, &incoming).await?;
    if let Err(error) = check_integrity(&incoming).await {
        files::remove_if_exists(&incoming).map_err(StoreError::io("delete", &incoming))?;
        return Err(error);
    }
    let replaced = keep(&database).await?;
    // SQLite would apply a log that is left to the restored file.
    for suffix in LOG_SUFFIXES {
        let log = files::with_suffix(&database, suffix);
        files::remove_if_exists(&log).map_err(StoreError::io("delete", &log))?;
    }
    fs::rename(&incoming, &database).map_err(StoreError::io("rename", &incoming))?;
    files::sync_directory_of(&database).map_err(StoreError::io("sync", &database))?;
    Ok(Restored {
        path: database,
        replaced,
    })
}

/// Files that belong to a database in WAL mode.
const LOG_SUFFIXES: [&str; 2] = ["-wal", "-shm"];

async fn check_integrity(path: &Path) -> Result<(), StoreError> {
    let connection = sqlite::reader(path).await?;
    let statement = Statement::from_string(DbBackend::Sqlite, "PRAGMA quick_check(1)");
    let row = connection.query_one_raw(statement).await;
    connection.close_by_ref().await?;
    let message: String = match row? {
        Some(row) => row.try_get_by_index(0)?,
        None => "no result of its check".to_owned(),
    };
    if message == "ok" {
        return Ok(());
    }
    Err(StoreError::NotADatabase {
        path: path.to_owned(),
        reason: format!("it is damaged: {message}"),
    })
}

/// Copies the files of the current database, which may be damaged.
async fn keep(database: &Path) -> Result<Option<PathBuf>, StoreError> {
    if !database.exists() {
        return Ok(None);
    }
    if let Err(error) = checkpoint(database).await {
        tracing::warn!(%error, "the replaced database is damaged; its files are kept as they are");
    }
    let kept = files::with_suffix(database, &format!(".replaced.{:013}", now_ms()));
    for suffix in ["", LOG_SUFFIXES[0]] {
        let from = files::with_suffix(database, suffix);
        let to = files::with_suffix(&kept, suffix);
        if from.exists() {
            fs::copy(&from, &to).map_err(StoreError::io("copy", &from))?;
            files::sync(&to).map_err(StoreError::io("sync", &to))?;
        }
    }
    Ok(Some(kept))
}

/// Moves the write-ahead log into the database file, so that one file contains everything.
async fn checkpoint(database: &Path) -> Result<(), StoreError> {
    let connection = sqlite::writer(database).await?;
    let statement = Statement::from_string(DbBackend::Sqlite, "PRAGMA wal_checkpoint(TRUNCATE)");
    let done = connection.query_one_raw(statement).await;
    connection.close_by_ref().await?;
    done?;
    Ok(())
}

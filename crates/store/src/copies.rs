//! Copies of a SQLite file: those made before a migration, and those of `backup` and `restore`.

use crate::error::StoreError;
use crate::time::now_ms;
use crate::{files, sqlite};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use std::fs;
use std::path::{Path, PathBuf};

/// Copies made before migrations that are kept.
const KEPT: usize = 3;

/// The end of their names.
const EXTENSION: &str = ".copy";

/// Writes a complete, synced copy of a database, which other processes may use meanwhile, to a new file with mode 0600.
/// Nothing is left of a failed copy.
pub(crate) async fn copy(database: &Path, target: &Path) -> Result<(), StoreError> {
    files::create_private(target).map_err(StoreError::io("create", target))?;
    let copied = write(database, target).await;
    if copied.is_err()
        && let Err(error) = files::remove_if_exists(target)
    {
        tracing::warn!(path = %target.display(), %error, "an incomplete copy was not deleted");
    }
    copied
}

async fn write(database: &Path, target: &Path) -> Result<(), StoreError> {
    let Some(name) = target.to_str() else {
        return Err(StoreError::Invalid {
            field: "path",
            reason: format!("{} is not UTF-8", target.display()),
        });
    };
    let connection = sqlite::reader(database).await?;
    // Unlike a copy of the file, this contains the write-ahead log.
    let statement =
        Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO ?", [name.into()]);
    let copied = connection.execute_raw(statement).await;
    connection.close_by_ref().await?;
    copied?;
    files::sync(target)
        .and_then(|()| files::sync_directory_of(target))
        .map_err(StoreError::io("sync", target))
}

/// Copies a database that is about to be migrated to `mlxm.db.v<schema>.<time>.copy`, and deletes older copies.
pub(crate) async fn before_migration(database: &Path, version: i32) -> Result<(), StoreError> {
    let target = files::with_suffix(
        database,
        &format!(".v{version}.{:013}{EXTENSION}", now_ms()),
    );
    copy(database, &target).await?;
    tracing::info!(path = %target.display(), "copied the database before migrating it");
    prune(database)
}

fn prune(database: &Path) -> Result<(), StoreError> {
    let mut copies = list(database)?;
    copies.sort_unstable();
    copies.reverse();
    for (_, path) in copies.into_iter().skip(KEPT) {
        fs::remove_file(&path).map_err(StoreError::io("delete", &path))?;
    }
    Ok(())
}

/// The copies of a database with their times.
fn list(database: &Path) -> Result<Vec<(i64, PathBuf)>, StoreError> {
    let directory = database.parent().unwrap_or(Path::new("."));
    let prefix = format!(
        "{}.v",
        database.file_name().unwrap_or_default().to_string_lossy()
    );
    let mut copies = Vec::new();
    for entry in fs::read_dir(directory).map_err(StoreError::io("list", directory))? {
        let path = entry.map_err(StoreError::io("list", directory))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let time = name
            .strip_prefix(&prefix)
            .and_then(|rest| rest.strip_suffix(EXTENSION))
            .and_then(|rest| rest.split_once('.'))
            .and_then(|(_, time)| time.parse().ok());
        if let Some(time) = time {
            copies.push((time, path.clone()));
        }
    }
    Ok(copies)
}

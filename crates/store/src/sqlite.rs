//! Connections to SQLite files.

use crate::error::StoreError;
use sea_orm::{DatabaseConnection, SqlxSqliteConnector};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement waits for a lock of another process, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A database in memory, in messages.
pub(crate) const MEMORY: &str = ":memory:";

/// Connections that read.
const READERS: u32 = 4;

/// The one connection that writes: with more, they would wait for each other in SQLite, which is not fair and can time out.
pub(crate) async fn writer(path: &Path) -> Result<DatabaseConnection, StoreError> {
    let options = options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Without these, a commit on macOS is in the drive's cache only, and lost when the power fails.
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .optimize_on_close(true, None);
    // SQLite ends a transaction by itself if a statement fails for lack of space. The driver's rollback then fails, and it still
    // counts the transaction: what later transactions of the connection write would never be committed. The pool sends a ping
    // before, so the rollback of a dropped transaction is over.
    let pool = pool(1).before_acquire(|connection, _| {
        let is_usable = !connection.is_in_transaction();
        Box::pin(async move { Ok(is_usable) })
    });
    connect(path, options, pool).await
}

/// Connections that cannot write.
pub(crate) async fn readers(path: &Path) -> Result<DatabaseConnection, StoreError> {
    connect(path, options(path).read_only(true), pool(READERS)).await
}

/// One connection that cannot write.
pub(crate) async fn reader(path: &Path) -> Result<DatabaseConnection, StoreError> {
    connect(path, options(path).read_only(true), pool(1)).await
}

/// The one connection to a database in memory, which is lost with it.
pub(crate) async fn memory() -> Result<DatabaseConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .in_memory(true)
        .foreign_keys(true)
        // Otherwise, what a query sorts goes to a file when it is large.
        .pragma("temp_store", "MEMORY");
    connect(Path::new(MEMORY), options, pool(1)).await
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
}

/// A pool whose connections do not age.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .max_lifetime(None)
        .idle_timeout(None)
}

async fn connect(
    path: &Path,
    options: SqliteConnectOptions,
    pool: SqlitePoolOptions,
) -> Result<DatabaseConnection, StoreError> {
    let pool = pool
        .connect_with(options)
        .await
        .map_err(|error| StoreError::Open {
            database: path.display().to_string(),
            reason: error.to_string(),
        })?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// The absolute form of a path: SQLite would read `file:` at its beginning as a URI.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(StoreError::io("find", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::{ConnectionTrait, DbBackend, Statement};

    #[tokio::test]
    async fn a_database_in_memory_has_no_temporary_files() {
        let connection = memory().await.unwrap();
        let statement = Statement::from_string(DbBackend::Sqlite, "PRAGMA temp_store");
        let row = connection.query_one_raw(statement).await.unwrap();
        let in_memory = 2;
        let value: i32 = row.unwrap().try_get_by_index(0).unwrap();
        assert_eq!(value, in_memory);
    }
}

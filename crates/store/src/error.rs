//! Errors, with messages that tell the user what to do next.

use crate::lock::LockHolder;
use crate::secrets::SecretError;
use sea_orm::{DbErr, SqlErr};
use std::io;
use std::path::PathBuf;
use uuid::Uuid;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address of the database is not usable.
    #[error(
        "DATABASE_URL is not usable: {reason}; it should look like postgres://user:password@host/database; \
         SQLite is used if it is unset"
    )]
    InvalidUrl {
        /// What is wrong. Never contains the password.
        reason: String,
    },
    /// No connection to the database.
    #[error("cannot open the database {database}: {reason}")]
    Open {
        /// Path, or host and name without credentials.
        database: String,
        /// The database's message.
        reason: String,
    },
    /// Another gateway has the database open.
    #[error("{} is in use by {}: stop it first (`mlxm service stop`), or set MLXM_HOME to another directory",
        .database.display(), holder_name(.holder.as_ref()))]
    Locked {
        /// The database file.
        database: PathBuf,
        /// The other gateway, if its entry in the lock file is readable.
        holder: Option<LockHolder>,
    },
    /// A newer version of mlxm has migrated the database.
    #[error(
        "the database {database} was written by mlxm {written_by} (schema {found}), and this version knows schema {supported}: \
         update mlxm, or restore a backup made by this version (`mlxm restore FILE`)"
    )]
    NewerDatabase {
        /// Path, or host and name without credentials.
        database: String,
        /// The version that made the newest migration.
        written_by: String,
        /// The newest migration in the database.
        found: i32,
        /// The newest migration of this version.
        supported: i32,
    },
    /// The file is not a database of mlxm.
    #[error("{} is not a database of mlxm: {reason}", .path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What is missing or damaged.
        reason: String,
    },
    /// A value that must be unique exists already.
    #[error("a {noun} with the {field} `{value}` exists already: choose another {field}")]
    Conflict {
        /// What the value belongs to, such as "profile".
        noun: &'static str,
        /// The field, such as "name".
        field: &'static str,
        /// The value.
        value: String,
    },
    /// No such row.
    #[error("there is no {noun} `{id}`")]
    NotFound {
        /// The kind of row, such as "profile".
        noun: &'static str,
        /// The requested id or name.
        id: String,
    },
    /// A row that a run is writing.
    #[error("a run is writing the {noun} `{id}`: stop it first, or wait until it ends")]
    Busy {
        /// The kind of row, such as "message".
        noun: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// A row that must be the last one, and is not.
    #[error(
        "other messages follow the {noun} `{id}`: add another version of it, or delete them first"
    )]
    Followed {
        /// The kind of row, such as "message".
        noun: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// A value that cannot be stored.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong and what is accepted.
        reason: String,
    },
    /// A stored value that this version cannot read.
    #[error(
        "{table}.{column} of row {row} is not readable: {reason}; restore a backup (`mlxm restore FILE`) or delete the row"
    )]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id or key.
        row: String,
        /// What is wrong.
        reason: String,
    },
    /// A secret that cannot be encrypted or decrypted.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file operation failed.
    #[error("cannot {action} {}: {error}", .path.display())]
    Io {
        /// The operation, such as "create".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The file exists, and would be overwritten.
    #[error("{} exists already: choose another name, or delete it first", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// An operation of SQLite files only.
    #[error("{operation} copies a SQLite file, and this database is Postgres: use {instead}")]
    SqliteOnly {
        /// The operation, such as "backup".
        operation: &'static str,
        /// The program of Postgres that does it.
        instead: &'static str,
    },
    /// The database reported an error: it is full, gone, or busy for too long.
    #[error("the database reported an error: {0}")]
    Database(String),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        Self::Database(error.to_string())
    }
}

impl StoreError {
    /// An error of a file operation, for `map_err`.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io {
            action,
            path,
            error,
        }
    }

    pub(crate) fn not_found(noun: &'static str, id: impl ToString) -> Self {
        Self::NotFound {
            noun,
            id: id.to_string(),
        }
    }

    /// An error of an insert or update: [`Self::Conflict`] if one of the unique fields of the table, given with their
    /// values, is the cause.
    pub(crate) fn from_write(
        error: DbErr,
        noun: &'static str,
        table: &str,
        unique: &[(&'static str, String)],
    ) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(message)) = error.sql_err() {
            // SQLite names the column (`profiles.name`), Postgres the index (`profiles_name_unique`).
            let violated = unique.iter().find(|(field, _)| {
                message.contains(&format!("{table}.{field}"))
                    || message.contains(&format!("{table}_{field}_"))
            });
            if let Some((field, value)) = violated {
                return Self::Conflict {
                    noun,
                    field,
                    value: value.clone(),
                };
            }
        }
        error.into()
    }
}

/// [`StoreError::NotFound`] if a statement has affected no row.
pub(crate) fn require_row(
    affected: u64,
    noun: &'static str,
    id: impl ToString,
) -> Result<(), StoreError> {
    if affected == 0 {
        return Err(StoreError::not_found(noun, id));
    }
    Ok(())
}

fn holder_name(holder: Option<&LockHolder>) -> String {
    holder.map_or_else(|| "another gateway".to_owned(), ToString::to_string)
}

//! Changes of the schema, forward only: one file per change, listed in [`MIGRATIONS`]. A released file is never edited.

mod m0001_gateways;
mod m0002_profiles;
mod m0003_servers;
mod m0004_aliases;
mod m0005_settings;
mod m0006_downloads;
mod m0007_requests;
mod m0008_server_launch;
mod m0009_download_files;
mod m0010_profile_color;
mod m0011_personas;
mod m0012_prompts;
mod m0013_chats;
mod m0014_attachments;
mod m0015_messages;
mod m0016_runs;
mod m0017_chat_search;

use crate::error::StoreError;
use crate::time::now_ms;
use sea_orm::sea_query::{
    ColumnDef, Expr, Order, Query, SelectStatement, Table, TableCreateStatement,
};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement,
};
use std::path::Path;

/// A change of the schema. Its version is its position in [`MIGRATIONS`], counted from 1.
struct Migration {
    name: &'static str,
    statements: fn(DbBackend) -> Vec<Statement>,
}

/// All changes, oldest first. New ones are added at the end.
const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "gateways",
        statements: m0001_gateways::statements,
    },
    Migration {
        name: "profiles",
        statements: m0002_profiles::statements,
    },
    Migration {
        name: "servers",
        statements: m0003_servers::statements,
    },
    Migration {
        name: "aliases",
        statements: m0004_aliases::statements,
    },
    Migration {
        name: "settings",
        statements: m0005_settings::statements,
    },
    Migration {
        name: "downloads",
        statements: m0006_downloads::statements,
    },
    Migration {
        name: "requests",
        statements: m0007_requests::statements,
    },
    Migration {
        name: "server_launch",
        statements: m0008_server_launch::statements,
    },
    Migration {
        name: "download_files",
        statements: m0009_download_files::statements,
    },
    Migration {
        name: "profile_color",
        statements: m0010_profile_color::statements,
    },
    Migration {
        name: "personas",
        statements: m0011_personas::statements,
    },
    Migration {
        name: "prompts",
        statements: m0012_prompts::statements,
    },
    Migration {
        name: "chats",
        statements: m0013_chats::statements,
    },
    Migration {
        name: "attachments",
        statements: m0014_attachments::statements,
    },
    Migration {
        name: "messages",
        statements: m0015_messages::statements,
    },
    Migration {
        name: "runs",
        statements: m0016_runs::statements,
    },
    Migration {
        name: "chat_search",
        statements: m0017_chat_search::statements,
    },
];

/// The table of applied migrations.
const TABLE: &str = "schema_migrations";

/// The key of the Postgres advisory lock: the bytes of "mlxm".
const LOCK_KEY: i64 = 0x6d6c_786d;

/// The newest migration of this version.
pub(crate) const fn latest() -> i32 {
    MIGRATIONS.len() as i32
}

/// The newest migration of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub version: i32,
    /// The version of mlxm that applied it.
    pub written_by: String,
}

impl Applied {
    /// An error if a newer version of mlxm applied it.
    pub(crate) fn check(&self, database: &str) -> Result<(), StoreError> {
        if self.version <= latest() {
            return Ok(());
        }
        Err(StoreError::NewerDatabase {
            database: database.to_owned(),
            written_by: self.written_by.clone(),
            found: self.version,
            supported: latest(),
        })
    }
}

/// The newest migration of a SQLite file; `None` for an empty file.
///
/// # Errors
/// [`StoreError::NotADatabase`] if it is another program's file, or damaged.
pub(crate) async fn applied_to_file(
    connection: &DatabaseConnection,
    path: &Path,
) -> Result<Option<Applied>, StoreError> {
    let not_a_database = |reason: String| StoreError::NotADatabase {
        path: path.to_owned(),
        reason,
    };
    let applied = applied(connection)
        .await
        .map_err(|error| not_a_database(error.to_string()))?;
    if applied.is_none() {
        let sql = "SELECT COUNT(*) FROM sqlite_master";
        let tables = connection
            .query_one_raw(Statement::from_string(DbBackend::Sqlite, sql))
            .await?
            .map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?;
        if tables > 0 {
            return Err(not_a_database(format!(
                "it has other tables and no table {TABLE}"
            )));
        }
    }
    Ok(applied)
}

/// Serializes migrations of gateways that share a Postgres database, until the end of the transaction.
pub(crate) async fn lock_postgres(transaction: &DatabaseTransaction) -> Result<(), StoreError> {
    let sql = format!("SELECT pg_advisory_xact_lock({LOCK_KEY})");
    transaction.execute_unprepared(&sql).await?;
    Ok(())
}

/// Applies the missing migrations. The caller commits.
///
/// # Errors
/// [`StoreError::NewerDatabase`], before anything is changed.
pub(crate) async fn run(
    transaction: &DatabaseTransaction,
    database: &str,
) -> Result<(), StoreError> {
    let applied = applied(transaction).await?;
    if let Some(applied) = &applied {
        applied.check(database)?;
    } else {
        transaction.execute(&create_table()).await?;
    }
    let version = applied.map_or(0, |applied| applied.version);
    let backend = transaction.get_database_backend();
    for (migration, version) in MIGRATIONS.iter().zip(1_i32..).skip(version as usize) {
        for statement in (migration.statements)(backend) {
            transaction.execute_raw(statement).await?;
        }
        let mut row = Query::insert();
        row.into_table(TABLE)
            .columns(["version", "name", "applied_at_ms", "written_by"])
            .values_panic([
                Expr::val(version),
                Expr::val(migration.name),
                Expr::val(now_ms()),
                Expr::val(crate::VERSION),
            ]);
        transaction.execute(&row).await?;
        tracing::debug!(
            database,
            version,
            name = migration.name,
            "applied a migration"
        );
    }
    match (version, MIGRATIONS.len()) {
        (0, _) => tracing::info!(database, "created the database"),
        (from, to) if (from as usize) < to => {
            tracing::info!(database, from, to, "migrated the database");
        }
        _ => {}
    }
    Ok(())
}

/// The newest migration; `None` without the table of migrations.
async fn applied<C: ConnectionTrait>(connection: &C) -> Result<Option<Applied>, DbErr> {
    let backend = connection.get_database_backend();
    let exists = match backend {
        DbBackend::Sqlite => {
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'"
        }
        _ => "SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL",
    };
    if connection
        .query_one_raw(Statement::from_string(backend, exists))
        .await?
        .is_none()
    {
        return Ok(None);
    }
    let Some(row) = connection.query_one(&newest()).await? else {
        return Ok(Some(Applied {
            version: 0,
            written_by: String::new(),
        }));
    };
    Ok(Some(Applied {
        version: row.try_get("", "version")?,
        written_by: row.try_get("", "written_by")?,
    }))
}

fn newest() -> SelectStatement {
    Query::select()
        .columns(["version", "written_by"])
        .from(TABLE)
        .order_by("version", Order::Desc)
        .limit(1)
        .to_owned()
}

fn create_table() -> TableCreateStatement {
    Table::create()
        .table(TABLE)
        .col(ColumnDef::new("version").integer().not_null().primary_key())
        .col(ColumnDef::new("name").text().not_null())
        .col(ColumnDef::new("applied_at_ms").big_integer().not_null())
        .col(ColumnDef::new("written_by").text().not_null())
        .to_owned()
}

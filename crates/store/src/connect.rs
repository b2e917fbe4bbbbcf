//! Opening and closing the database, and its transactions.

use crate::error::StoreError;
use crate::lock::{DatabaseLock, LockHolder};
use crate::secrets::Secrets;
use crate::{copies, files, migrations, sqlite};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, SqlxPostgresConnector,
    TransactionOptions, TransactionTrait,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The database file in `$MLXM_HOME`.
const FILE_NAME: &str = "mlxm.db";

/// The file of encryption keys in `$MLXM_HOME`.
const SECRET_FILE_NAME: &str = "secret.key";

/// Connections to a Postgres server, which several gateways share.
const POSTGRES_CONNECTIONS: u32 = 10;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// The URL of a Postgres database.
    Postgres(String),
}

impl Location {
    /// The database of a URL, which is the value of `DATABASE_URL`, or the file `mlxm.db` in the home directory without one.
    ///
    /// # Errors
    /// [`StoreError::InvalidUrl`] for a URL that is not of Postgres.
    pub fn new(database_url: Option<&str>, home: &Path) -> Result<Self, StoreError> {
        let Some(url) = database_url.filter(|url| !url.is_empty()) else {
            return Ok(Self::Sqlite(home.join(FILE_NAME)));
        };
        // Parsed here so that a bad URL is reported before anything is created.
        postgres_options(url)?;
        Ok(Self::Postgres(url.to_owned()))
    }
}

/// Without the password of a URL.
impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "{}", path.display()),
            Self::Postgres(url) => match postgres_options(url) {
                Ok(options) => {
                    let database = options.get_database().unwrap_or(options.get_username());
                    write!(
                        formatter,
                        "{database} on {}:{}",
                        options.get_host(),
                        options.get_port()
                    )
                }
                Err(_) => formatter.write_str("Postgres"),
            },
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Location({self})")
    }
}

/// How to open a [`Store`].
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The database.
    pub location: Location,
    /// The file of encryption keys, created if it does not exist.
    pub secret_file: PathBuf,
    /// What this process is, for the message to a second gateway: "the gateway at http://127.0.0.1:8080".
    pub description: String,
}

impl OpenOptions {
    /// With the secret file in the home directory.
    pub fn new(location: Location, home: &Path) -> Self {
        Self {
            location,
            secret_file: home.join(SECRET_FILE_NAME),
            description: "a gateway".to_owned(),
        }
    }
}

/// An open database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    secrets: Arc<Secrets>,
    /// Of a SQLite file. Dropped last, after the connections.
    _lock: Option<DatabaseLock>,
}

impl Store {
    /// Connects, takes the lock of a SQLite file, and migrates. Missing directories and files are created, readable by
    /// their owner only.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another gateway has the file open, [`StoreError::NewerDatabase`] if a newer version has
    /// migrated it, [`StoreError::NotADatabase`] for another file, and errors of the connection and of the secret file.
    pub async fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        if let Some(home) = options.secret_file.parent() {
            fs::create_dir_all(home).map_err(StoreError::io("create", home))?;
        }
        let (reader, writer, lock) = match &options.location {
            Location::Sqlite(path) => open_sqlite(path, &options.description).await?,
            Location::Postgres(url) => open_postgres(url, &options.location).await?,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                reader,
                writer,
                secrets: Arc::new(Secrets::open(&options.secret_file)?),
                _lock: lock,
            }),
        })
    }

    /// An empty SQLite database in memory, for what must not be written to a disk. It has the encryption keys of this one, and is
    /// lost when its last clone is dropped. All its queries share one connection.
    ///
    /// # Errors
    /// [`StoreError::Open`] if there is no memory for it.
    pub async fn in_memory(&self) -> Result<Self, StoreError> {
        let connection = sqlite::memory().await?;
        let transaction = begin(&connection).await?;
        migrations::run(&transaction, sqlite::MEMORY).await?;
        transaction.commit().await?;
        Ok(Self {
            inner: Arc::new(Inner {
                reader: connection.clone(),
                writer: connection,
                secrets: Arc::clone(&self.inner.secrets),
                _lock: None,
            }),
        })
    }

    /// Waits for running transactions and closes all connections. The lock is released with the last clone.
    pub async fn close(self) {
        for connection in [&self.inner.reader, &self.inner.writer] {
            if let Err(error) = connection.close_by_ref().await {
                tracing::warn!(%error, "a database connection was not closed");
            }
        }
    }

    /// The connection to read from.
    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.inner.reader
    }

    /// Begins a write transaction. It is rolled back if it is dropped without a commit.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        begin(&self.inner.writer).await
    }

    /// The keys of encrypted columns.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.inner.secrets
    }
}

async fn begin(writer: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
    let options = TransactionOptions {
        // A deferred transaction that reads first fails to become a write transaction if another process has written since.
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    Ok(writer.begin_with_options(options).await?)
}

type Connections = (DatabaseConnection, DatabaseConnection, Option<DatabaseLock>);

async fn open_sqlite(path: &Path, description: &str) -> Result<Connections, StoreError> {
    let path = sqlite::absolute(path)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(StoreError::io("create", directory))?;
    }
    let lock = DatabaseLock::acquire(&path, &LockHolder::this_process(description))?;
    if let Err(error) = files::create_private(&path)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(StoreError::io("create", &path)(error));
    }
    // Checked without a connection that writes: a foreign or newer file stays as it is.
    let existing = sqlite::reader(&path).await?;
    let applied = migrations::applied_to_file(&existing, &path).await;
    existing.close_by_ref().await?;
    if let Some(applied) = applied? {
        applied.check(&path.display().to_string())?;
        if applied.version < migrations::latest() {
            copies::before_migration(&path, applied.version).await?;
        }
    }
    let writer = sqlite::writer(&path).await?;
    let transaction = begin(&writer).await?;
    migrations::run(&transaction, &path.display().to_string()).await?;
    transaction.commit().await?;
    Ok((sqlite::readers(&path).await?, writer, Some(lock)))
}

async fn open_postgres(url: &str, location: &Location) -> Result<Connections, StoreError> {
    let options = postgres_options(url)?.application_name("mlxm");
    let failed = |error: sqlx::Error| StoreError::Open {
        database: location.to_string(),
        reason: error.to_string(),
    };
    // A pool would retry for half a minute, and then report a timeout in place of the cause.
    let probe = PgConnection::connect_with(&options).await.map_err(failed)?;
    probe.close().await.map_err(failed)?;
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .connect_lazy_with(options);
    let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
    let transaction = begin(&connection).await?;
    migrations::lock_postgres(&transaction).await?;
    migrations::run(&transaction, &location.to_string()).await?;
    transaction.commit().await?;
    Ok((connection.clone(), connection, None))
}

fn postgres_options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let invalid = |reason: String| StoreError::InvalidUrl { reason };
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        let scheme = url
            .split_once("://")
            .map_or("no scheme", |(scheme, _)| scheme);
        return Err(invalid(format!(
            "it has `{scheme}` where postgres:// is expected"
        )));
    }
    // The parser's error describes the problem without the URL.
    url.parse()
        .map_err(|error: sqlx::Error| invalid(error.to_string()))
}

//! A Postgres cluster of the test's own, on a Unix socket in a temporary directory.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The directory with `initdb` and `postgres`, or [`SKIP`]. `cargo xtask test` sets it.
const VARIABLE: &str = "MLXM_POSTGRES_BIN";

/// Leaves out the tests on Postgres.
const SKIP: &str = "skip";

/// Starts the server, and stops it when standard input is closed: also if the test is killed.
const SUPERVISOR: &str = r#""$0" "$@" </dev/null & pid=$!; read -r _; kill -INT $pid; wait $pid"#;

const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A running cluster. It ends with the value.
pub struct Cluster {
    directory: TempDir,
    supervisor: Child,
}

impl Cluster {
    /// A new cluster; `None` if the tests on Postgres are to be skipped. Postgres that is not installed is a failure.
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        let directory = tempfile::Builder::new()
            .prefix("mlxm-pg")
            .tempdir()
            .unwrap();
        let user = unprivileged_user(directory.path());
        if let Some((uid, gid)) = user {
            chown(directory.path(), Some(uid), Some(gid)).unwrap();
        }
        let command = |program: OsString| {
            let mut command = Command::new(program);
            command.current_dir(directory.path()).env("LC_ALL", "C");
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let data = directory.path().join("data");
        let created = command(programs.join("initdb").into())
            .args([
                "--username=mlxm",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ])
            .arg("--pgdata")
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            created.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&created.stderr)
        );
        let log = File::create(log_path(directory.path())).unwrap();
        let supervisor = command("/bin/sh".into())
            .args(["-c", SUPERVISOR])
            .arg(programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(directory.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Some(Self {
            directory,
            supervisor,
        })
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://mlxm@localhost/{database}?host={}",
            self.directory.path().display()
        )
    }

    /// Creates a database and returns its URL. Waits until the server accepts connections.
    pub async fn create_database(&mut self, name: &str) -> String {
        self.execute("postgres", format!("CREATE DATABASE {name}"))
            .await;
        self.url(name)
    }

    /// Executes a statement in a database.
    pub async fn execute(&mut self, database: &str, sql: String) {
        let mut connection = self.connect(database).await;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// Waits until a statement in a database waits for a lock.
    pub async fn wait_for_waiting(&mut self, database: &str) {
        let sql = "SELECT count(*) FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let mut connection = self.connect(database).await;
        let started = Instant::now();
        loop {
            let waiting: i64 = sqlx::query_scalar(sql)
                .fetch_one(&mut connection)
                .await
                .unwrap();
            if waiting > 0 {
                break;
            }
            assert!(
                started.elapsed() < START_TIMEOUT,
                "no statement waits for a lock"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        connection.close().await.unwrap();
    }

    /// A connection to a database, such as that of another gateway.
    pub async fn connect(&mut self, database: &str) -> PgConnection {
        let started = Instant::now();
        loop {
            match PgConnection::connect(&self.url(database)).await {
                Ok(connection) => return connection,
                Err(error) => {
                    let ended = self.supervisor.try_wait().unwrap().is_some();
                    if ended || started.elapsed() > START_TIMEOUT {
                        let log =
                            fs::read_to_string(log_path(self.directory.path())).unwrap_or_default();
                        panic!("Postgres did not start: {error}\n{log}");
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        // The directory must not be deleted under a running server.
        if let Err(error) = self.supervisor.wait() {
            eprintln!("the Postgres cluster did not end: {error}");
        }
    }
}

fn programs() -> Option<PathBuf> {
    match std::env::var_os(VARIABLE) {
        Some(value) if value == SKIP => {
            eprintln!("tests on Postgres are skipped: {VARIABLE} is `{SKIP}`");
            None
        }
        Some(directory) => Some(directory.into()),
        None => panic!(
            "{VARIABLE} is not set: run `cargo xtask test --only rust`, or set it to the directory with initdb and postgres"
        ),
    }
}

/// Postgres does not run as root: then, the user `postgres` that its package makes, or `nobody`.
fn unprivileged_user(own_directory: &Path) -> Option<(u32, u32)> {
    if fs::metadata(own_directory).unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            let uid = fields.nth(1)?.parse().ok()?;
            Some((uid, fields.next()?.parse().ok()?))
        })
    };
    let user = find("postgres").or_else(|| find("nobody"));
    assert!(
        user.is_some(),
        "Postgres does not run as root, and there is no user postgres or nobody"
    );
    user
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("log")
}

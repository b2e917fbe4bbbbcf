//! Opening SQLite files: modes, the lock, migrations, and files that are left alone.

use crate::support::{database, gateway, home, location, open, run};
use mlxm_store::{OpenOptions, Store, StoreError, gateways, requests};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Executes statements as another program would.
async fn execute(home: &Path, sql: &str) {
    let options = SqliteConnectOptions::new()
        .filename(database(home))
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// The database as an older version would have left it: without the newest migration.
async fn make_older(home: &Path) {
    execute(
        home,
        "DROP TABLE chat_search; DROP TABLE search_documents; \
         DELETE FROM schema_migrations WHERE version = (SELECT MAX(version) FROM schema_migrations)",
    )
    .await;
}

fn copies(home: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(home).unwrap();
    let mut copies: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "copy")
        })
        .collect();
    copies.sort();
    copies
}

#[test]
fn new_files_are_private() {
    let parent = home();
    let home = parent.path().join("missing").join("home");
    run(async {
        let store = open(&home).await.unwrap();
        gateway(&store).await;
        for name in [
            "mlxm.db",
            "mlxm.db-wal",
            "mlxm.db-shm",
            "mlxm.db.lock",
            "secret.key",
        ] {
            let mode = fs::metadata(home.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        store.close().await;
    });
}

#[test]
fn a_second_gateway_is_rejected_and_the_first_named() {
    let home = home();
    run(async {
        let options = OpenOptions {
            description: "the gateway at http://127.0.0.1:8080".to_owned(),
            ..OpenOptions::new(location(home.path()), home.path())
        };
        let first = Store::open(&options).await.unwrap();
        let error = open(home.path()).await.unwrap_err();
        let StoreError::Locked { holder, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(holder.as_ref().unwrap().pid, std::process::id());
        let message = error.to_string();
        assert!(
            message.contains("the gateway at http://127.0.0.1:8080 (mlxm "),
            "{message}"
        );
        // The first one is not affected, and the lock ends with it.
        gateway(&first).await;
        first.close().await;
        open(home.path()).await.unwrap().close().await;
    });
}

#[test]
fn a_newer_database_is_rejected_and_left_unchanged() {
    let home = home();
    run(async {
        open(home.path()).await.unwrap().close().await;
        let insert = "INSERT INTO schema_migrations (version, name, applied_at_ms, written_by) VALUES (999, 'x', 0, '9.8.7')";
        execute(home.path(), insert).await;
        let before = fs::read(database(home.path())).unwrap();
        let error = open(home.path()).await.unwrap_err();
        assert!(
            matches!(error, StoreError::NewerDatabase { found: 999, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("mlxm 9.8.7"), "{error}");
        assert!(error.to_string().contains("update mlxm"), "{error}");
        assert_eq!(fs::read(database(home.path())).unwrap(), before);
        assert!(copies(home.path()).is_empty());
    });
}

#[test]
fn another_programs_database_is_rejected_and_left_unchanged() {
    let home = home();
    run(async {
        execute(home.path(), "CREATE TABLE notes (text TEXT)").await;
        let before = fs::read(database(home.path())).unwrap();
        let error = open(home.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::NotADatabase { .. }), "{error}");
        assert_eq!(fs::read(database(home.path())).unwrap(), before);
    });
}

#[test]
fn a_file_that_is_not_a_database_is_rejected_and_left_unchanged() {
    let home = home();
    let text = "not a database\n".repeat(1000);
    fs::write(database(home.path()), &text).unwrap();
    let error = run(open(home.path())).unwrap_err();
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error}");
    assert_eq!(fs::read_to_string(database(home.path())).unwrap(), text);
}

#[test]
fn an_older_database_is_copied_and_migrated() {
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        let gateway = gateway(&store).await;
        store.close().await;
        assert!(
            copies(home.path()).is_empty(),
            "a new database needs no copy"
        );
        for _ in 0..5 {
            make_older(home.path()).await;
            let store = open(home.path()).await.unwrap();
            assert_eq!(
                gateways::list(&store).await.unwrap(),
                std::slice::from_ref(&gateway)
            );
            requests::insert(&store, &[]).await.unwrap();
            let all = requests::RequestFilter::default();
            assert!(requests::list(&store, &all).await.unwrap().is_empty());
            store.close().await;
        }
        let copies = copies(home.path());
        assert_eq!(copies.len(), 3, "{copies:?}");
        // A copy is a database with the rows from before.
        let restored = crate::support::home();
        fs::copy(&copies[2], database(restored.path())).unwrap();
        let store = open(restored.path()).await.unwrap();
        assert_eq!(gateways::list(&store).await.unwrap(), [gateway]);
        store.close().await;
    });
}

#[test]
fn reopening_does_not_migrate_again() {
    let home = home();
    run(async {
        for _ in 0..3 {
            open(home.path()).await.unwrap().close().await;
        }
        assert!(copies(home.path()).is_empty());
    });
}

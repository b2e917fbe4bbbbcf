//! The suite on Postgres, and what only Postgres has. One test, since each would start a cluster.

use crate::concurrent::changes_follow_each_other;
use crate::suite::{TESTS, aliases, personas, prompts};
use crate::support::postgres::Cluster;
use crate::support::{check_order_after_the_clock_was_set_back, home, run};
use mlxm_store::backup::backup;
use mlxm_store::restore::restore;
use mlxm_store::{Location, OpenOptions, Store, StoreError, gateways};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// How to open a database of the cluster.
pub fn options(url: &str, home: &Path) -> OpenOptions {
    OpenOptions::new(Location::new(Some(url), home).unwrap(), home)
}

#[test]
fn postgres_passes_the_suite() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let mut failed = Vec::new();
    for (index, (name, test)) in TESTS.iter().enumerate() {
        let passed = catch_unwind(AssertUnwindSafe(|| {
            run(async {
                let home = home();
                let url = cluster.create_database(&format!("suite{index}")).await;
                let store = Store::open(&options(&url, home.path())).await.unwrap();
                test(store.clone()).await;
                store.close().await;
            });
        }));
        if passed.is_err() {
            failed.push(*name);
        }
    }
    run(async {
        gateways_that_start_together_migrate_once(&mut cluster).await;
        newer_database_is_rejected(&mut cluster).await;
        backups_are_left_to_postgres(&mut cluster).await;
        lists_have_the_same_order_in_every_locale(&mut cluster).await;
        messages_come_after_their_parents_whatever_their_ids(&mut cluster).await;
        changes_follow_each_other(&mut cluster).await;
    });
    assert!(
        failed.is_empty(),
        "failed on Postgres: {}",
        failed.join(", ")
    );
}

async fn gateways_that_start_together_migrate_once(cluster: &mut Cluster) {
    let url = cluster.create_database("together").await;
    let home = home();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let options = options(&url, home.path());
            tokio::spawn(async move { Store::open(&options).await })
        })
        .collect();
    for start in starts {
        let store = start.await.unwrap().unwrap();
        crate::support::gateway(&store).await;
        store.close().await;
    }
    let store = Store::open(&options(&url, home.path())).await.unwrap();
    assert_eq!(gateways::list(&store).await.unwrap().len(), 4);
    store.close().await;
}

async fn newer_database_is_rejected(cluster: &mut Cluster) {
    let url = cluster.create_database("newer").await;
    let home = home();
    Store::open(&options(&url, home.path()))
        .await
        .unwrap()
        .close()
        .await;
    let sql = "INSERT INTO schema_migrations (version, name, applied_at_ms, written_by) VALUES (999, 'x', 0, '9.8.7')";
    cluster.execute("newer", sql.to_owned()).await;
    let error = Store::open(&options(&url, home.path())).await.unwrap_err();
    assert!(
        matches!(error, StoreError::NewerDatabase { found: 999, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("mlxm 9.8.7"), "{error}");
}

async fn backups_are_left_to_postgres(cluster: &mut Cluster) {
    let url = cluster.create_database("backups").await;
    let home = home();
    let location = Location::new(Some(&url), home.path()).unwrap();
    let file = home.path().join("file");
    let error = backup(&location, &file).await.unwrap_err();
    assert!(error.to_string().contains("pg_dump"), "{error}");
    let error = restore(&location, &file).await.unwrap_err();
    assert!(error.to_string().contains("pg_restore"), "{error}");
    assert!(!file.exists());
}

async fn lists_have_the_same_order_in_every_locale(cluster: &mut Cluster) {
    let url = cluster.create_database("locale").await;
    let home = home();
    let options = options(&url, home.path());
    Store::open(&options).await.unwrap().close().await;
    for table in ["aliases", "personas", "prompts"] {
        let sql = format!(r#"ALTER TABLE {table} ALTER COLUMN name TYPE text COLLATE "und-x-icu""#);
        cluster.execute("locale", sql).await;
    }
    let store = Store::open(&options).await.unwrap();
    aliases::aliases_are_listed_by_the_bytes_of_their_names(store.clone()).await;
    personas::personas_are_listed_by_the_bytes_of_their_names(store.clone()).await;
    prompts::prompts_are_listed_by_the_bytes_of_their_names(store.clone()).await;
    store.close().await;
}

async fn messages_come_after_their_parents_whatever_their_ids(cluster: &mut Cluster) {
    let url = cluster.create_database("clock").await;
    let home = home();
    let store = Store::open(&options(&url, home.path())).await.unwrap();
    check_order_after_the_clock_was_set_back(&store, async |sql: &'static str| {
        cluster.execute("clock", sql.to_owned()).await;
    })
    .await;
    store.close().await;
}

#[test]
fn a_url_that_is_not_of_postgres_is_rejected() {
    for url in [
        "mysql://u:secret@host/db",
        "host/db",
        "postgres://u:secret@[bad/db",
    ] {
        let error = Location::new(Some(url), Path::new("home")).unwrap_err();
        assert!(matches!(error, StoreError::InvalidUrl { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let sqlite = Location::new(Some(""), Path::new("home")).unwrap();
    assert_eq!(sqlite, Location::Sqlite("home/mlxm.db".into()));
}

#[test]
fn a_location_is_shown_without_the_password() {
    let url = "postgres://user:secret@db.example:5433/mlxm?sslmode=require";
    let location = Location::new(Some(url), Path::new("home")).unwrap();
    assert_eq!(location.to_string(), "mlxm on db.example:5433");
    assert!(!format!("{location:?}").contains("secret"));
}

#[test]
fn an_unreachable_server_is_reported_without_the_password() {
    let home = home();
    // Port 9 is the discard service, which no one runs.
    let url = "postgres://user:secret@127.0.0.1:9/mlxm";
    let error = run(Store::open(&options(url, home.path()))).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(error.to_string().contains("mlxm on 127.0.0.1:9"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

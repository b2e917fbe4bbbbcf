//! Concurrency on SQLite: no "database is locked".

use crate::support::{
    check_order_after_the_clock_was_set_back, database, gateway, home, open, respond, run,
};
use mlxm_store::{StoreError, aliases, gateways, profiles, runs};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use std::path::Path;
use std::time::Duration;

async fn other_program(home: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(database(home));
    options.connect().await.unwrap()
}

#[test]
fn concurrent_writers_and_readers_all_succeed() {
    const WRITERS: usize = 16;
    const WRITES: usize = 20;
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        let mut tasks = Vec::new();
        for writer in 0..WRITERS {
            let (writing, reading) = (store.clone(), store.clone());
            tasks.push(tokio::spawn(async move {
                for write in 0..WRITES {
                    aliases::set(&writing, &format!("{writer}-{write}"), "target").await?;
                }
                Ok::<_, StoreError>(())
            }));
            tasks.push(tokio::spawn(async move {
                let mut seen = 0;
                for _ in 0..WRITES {
                    let count = aliases::list(&reading).await?.len();
                    assert!(count >= seen, "a committed row disappeared");
                    seen = count;
                }
                Ok::<_, StoreError>(())
            }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(aliases::list(&store).await.unwrap().len(), WRITERS * WRITES);
        store.close().await;
    });
}

/// On a full disk, SQLite ends the transaction of some statements that fail, and only undoes others.
#[test]
fn writes_after_failed_transactions_are_committed() {
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        let mut other = other_program(home.path()).await;
        for end in ["ROLLBACK", "ABORT"] {
            let trigger = format!(
                "CREATE TRIGGER {end}_full BEFORE INSERT ON aliases WHEN NEW.name = '{end}' \
                 BEGIN SELECT RAISE({end}, 'database or disk is full'); END"
            );
            sqlx::query(AssertSqlSafe(trigger))
                .execute(&mut other)
                .await
                .unwrap();
        }
        for name in ["ROLLBACK", "ABORT", "ABORT", "ROLLBACK", "ABORT"] {
            aliases::set(&store, name, "target").await.unwrap_err();
        }
        aliases::set(&store, "kept", "target").await.unwrap();
        let committed = sqlx::query_scalar::<_, String>("SELECT name FROM aliases")
            .fetch_all(&mut other)
            .await
            .unwrap();
        assert_eq!(committed, ["kept"]);
        other.close().await.unwrap();
        store.close().await;
    });
}

#[test]
fn a_write_waits_for_another_programs_transaction() {
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        let mut other = other_program(home.path()).await;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut other)
            .await
            .unwrap();
        let writing = store.clone();
        let write = tokio::spawn(async move { aliases::set(&writing, "name", "target").await });
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!write.is_finished());
        // Readers do not wait.
        assert!(aliases::list(&store).await.unwrap().is_empty());
        sqlx::query("COMMIT").execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        write.await.unwrap().unwrap();
        assert_eq!(aliases::list(&store).await.unwrap().len(), 1);
        store.close().await;
    });
}

#[test]
fn a_write_that_is_cancelled_leaves_no_part_and_no_lock() {
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        for round in 0..50 {
            let name = format!("cancelled {round}");
            let write = aliases::set(&store, &name, "target");
            let limit = Duration::from_micros(fastrand::u64(0..2000));
            if tokio::time::timeout(limit, write).await.is_ok() {
                aliases::delete(&store, &name).await.unwrap();
            }
        }
        aliases::set(&store, "last", "target").await.unwrap();
        let names = aliases::list(&store).await.unwrap();
        assert!(names.iter().any(|alias| alias.name == "last"));
        store.close().await;
    });
}

#[test]
fn the_file_has_a_write_ahead_log_and_checks_foreign_keys() {
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        let mut other = other_program(home.path()).await;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut other)
            .await
            .unwrap();
        assert_eq!(mode, "wal");
        other.close().await.unwrap();
        let gateway = gateway(&store).await;
        gateways::delete(&store, gateway.id).await.unwrap();
        let error = mlxm_store::downloads::enqueue(&store, gateway.id, "owner/name", "main", &[])
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
        store.close().await;
    });
}

#[test]
fn a_damaged_value_is_reported_with_its_place() {
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        let config = profiles::ProfileConfig {
            name: "name".to_owned(),
            model: "model".to_owned(),
            ..profiles::ProfileConfig::default()
        };
        let profile = profiles::create(&store, config).await.unwrap();
        let mut other = other_program(home.path()).await;
        sqlx::query("UPDATE profiles SET load_settings = '{\"context_length\": \"many\"}'")
            .execute(&mut other)
            .await
            .unwrap();
        other.close().await.unwrap();
        let message = profiles::list(&store).await.unwrap_err().to_string();
        for part in [
            "profiles.load_settings",
            &profile.id.to_string(),
            "mlxm restore",
        ] {
            assert!(message.contains(part), "{message}");
        }
        store.close().await;
    });
}

#[test]
fn messages_come_after_their_parents_whatever_their_ids() {
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        check_order_after_the_clock_was_set_back(&store, async |sql: &'static str| {
            let mut other = other_program(home.path()).await;
            sqlx::query(sql).execute(&mut other).await.unwrap();
            other.close().await.unwrap();
        })
        .await;
        store.close().await;
    });
}

#[test]
fn runs_of_all_earlier_gateways_are_interrupted() {
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        // Its id was lost with its home directory.
        let earlier = gateway(&store).await;
        let started = respond(&store, earlier.id).await;
        let starting = gateway(&store).await;
        let interrupted = runs::interrupt(&store, starting.id).await.unwrap();
        let ids: Vec<_> = interrupted.iter().map(|run| run.id).collect();
        assert_eq!(ids, [started.run.id]);
        store.close().await;
    });
}

#[test]
fn profiles_of_an_older_database_get_colors_in_the_order_of_their_creation() {
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        for index in 0..9 {
            let config = profiles::ProfileConfig {
                name: index.to_string(),
                model: "model".to_owned(),
                color: Some(8),
                ..profiles::ProfileConfig::default()
            };
            profiles::create(&store, config).await.unwrap();
        }
        store.close().await;
        let mut other = other_program(home.path()).await;
        // A table comes before those that it refers to.
        for table in [
            "chat_search",
            "search_documents",
            "runs",
            "message_attachments",
            "messages",
            "attachment_contents",
            "attachments",
            "chat_tags",
            "chats",
            "prompts",
            "personas",
        ] {
            let sql = format!("DROP TABLE {table}");
            sqlx::query(AssertSqlSafe(sql))
                .execute(&mut other)
                .await
                .unwrap();
        }
        for statement in [
            "ALTER TABLE profiles DROP COLUMN color",
            "DELETE FROM schema_migrations WHERE version >= \
                (SELECT version FROM schema_migrations WHERE name = 'profile_color')",
        ] {
            sqlx::query(statement).execute(&mut other).await.unwrap();
        }
        other.close().await.unwrap();
        let store = open(home.path()).await.unwrap();
        let profiles = profiles::list(&store).await.unwrap();
        let colors: Vec<_> = profiles
            .iter()
            .filter_map(|profile| profile.config.color)
            .collect();
        assert_eq!(colors, [1, 2, 3, 4, 5, 6, 7, 8, 1]);
        store.close().await;
    });
}

#[test]
fn a_database_in_memory_is_separate_and_writes_no_file() {
    let home = home();
    run(async {
        let store = open(home.path()).await.unwrap();
        let files = || std::fs::read_dir(home.path()).unwrap().count();
        let before = files();
        let first = store.in_memory().await.unwrap();
        let second = store.in_memory().await.unwrap();
        aliases::set(&first, "name", "target").await.unwrap();
        let (reading, writing) = tokio::join!(
            aliases::list(&first),
            aliases::set(&first, "other", "target")
        );
        assert!(!reading.unwrap().is_empty());
        writing.unwrap();
        for other in [&store, &second] {
            assert!(aliases::list(other).await.unwrap().is_empty());
        }
        assert_eq!(files(), before);
        for store in [first, second, store] {
            store.close().await;
        }
    });
}

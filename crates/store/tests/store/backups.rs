//! Backup and restore of SQLite files.

use crate::support::{chat, database, gateway, home, location, open, run, say};
use mlxm_store::backup::backup;
use mlxm_store::chats::{self, ChatFilter};
use mlxm_store::messages::{self, MessageBody, NewMessage, Part, Role};
use mlxm_store::restore::restore;
use mlxm_store::{OWNER, StoreError, aliases, attachments, settings};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

async fn set(home: &Path, name: &str) {
    let store = open(home).await.unwrap();
    aliases::set(&store, name, "target").await.unwrap();
    store.close().await;
}

async fn names(home: &Path) -> Vec<String> {
    let store = open(home).await.unwrap();
    let aliases = aliases::list(&store).await.unwrap();
    store.close().await;
    aliases.into_iter().map(|alias| alias.name).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_backup_of_a_database_in_use_is_complete_and_private() {
    let (home, target) = (home(), home());
    let file = target.path().join("backup.db");
    run(async {
        let store = open(home.path()).await.unwrap();
        for index in 0..100 {
            aliases::set(&store, &format!("{index:03}"), "target")
                .await
                .unwrap();
        }
        let writing = store.clone();
        let writer = tokio::spawn(async move {
            for index in 100..200 {
                aliases::set(&writing, &format!("{index:03}"), "target")
                    .await
                    .unwrap();
            }
        });
        let done = backup(&location(home.path()), &file).await.unwrap();
        writer.await.unwrap();
        store.close().await;
        assert_eq!(done.path, file);
        assert_eq!(done.size_bytes, fs::metadata(&file).unwrap().len());
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            files(target.path()),
            std::slice::from_ref(&file),
            "nothing else is left"
        );

        let other = crate::support::home();
        restore(&location(other.path()), &file).await.unwrap();
        let names = names(other.path()).await;
        assert!(names.len() >= 100, "{} rows", names.len());
        let expected: Vec<_> = (0..names.len())
            .map(|index| format!("{index:03}"))
            .collect();
        assert_eq!(names, expected, "the rows of one moment");
    });
}

#[test]
fn a_backup_overwrites_nothing_and_needs_a_database() {
    let home = home();
    run(async {
        let file = home.path().join("backup.db");
        let error = backup(&location(home.path()), &file).await.unwrap_err();
        assert!(matches!(error, StoreError::NotADatabase { .. }), "{error}");
        set(home.path(), "name").await;
        fs::write(&file, "precious").unwrap();
        let error = backup(&location(home.path()), &file).await.unwrap_err();
        assert!(matches!(error, StoreError::Exists { .. }), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
        let error = backup(&location(home.path()), &home.path().join("missing/b.db"))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
    });
}

#[test]
fn restore_replaces_the_database_and_keeps_the_old_one() {
    let home = home();
    run(async {
        let file = home.path().join("backup.db");
        set(home.path(), "before").await;
        backup(&location(home.path()), &file).await.unwrap();
        set(home.path(), "after").await;
        let restored = restore(&location(home.path()), &file).await.unwrap();
        assert_eq!(names(home.path()).await, ["before"]);

        let other = crate::support::home();
        fs::copy(restored.replaced.unwrap(), database(other.path())).unwrap();
        assert_eq!(names(other.path()).await, ["after", "before"]);
    });
}

#[test]
fn restore_fails_while_a_gateway_runs() {
    let home = home();
    run(async {
        let file = home.path().join("backup.db");
        let store = open(home.path()).await.unwrap();
        gateway(&store).await;
        backup(&location(home.path()), &file).await.unwrap();
        let error = restore(&location(home.path()), &file).await.unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        gateway(&store).await;
        store.close().await;
        restore(&location(home.path()), &file).await.unwrap();
    });
}

/// The log of a gateway that was killed must not be applied to the restored file.
#[test]
fn restore_discards_a_log_that_was_left() {
    let (home, killed) = (home(), home());
    run(async {
        let file = home.path().join("backup.db");
        set(home.path(), "before").await;
        backup(&location(home.path()), &file).await.unwrap();
        let store = open(home.path()).await.unwrap();
        aliases::set(&store, "in the log", "target").await.unwrap();
        for name in ["mlxm.db", "mlxm.db-wal"] {
            fs::copy(home.path().join(name), killed.path().join(name)).unwrap();
        }
        store.close().await;
        let restored = restore(&location(killed.path()), &file).await.unwrap();
        assert_eq!(names(killed.path()).await, ["before"]);

        let other = crate::support::home();
        fs::copy(restored.replaced.unwrap(), database(other.path())).unwrap();
        assert_eq!(
            names(other.path()).await,
            ["before", "in the log"],
            "the replaced database is complete"
        );
    });
}

#[test]
fn restore_rejects_files_that_are_no_backup_and_changes_nothing() {
    let home = home();
    run(async {
        set(home.path(), "name").await;
        let whole = home.path().join("backup.db");
        backup(&location(home.path()), &whole).await.unwrap();
        let bad = home.path().join("bad.db");
        let mut damaged = fs::read(&whole).unwrap();
        let middle = damaged.len() / 2;
        damaged.truncate(middle);
        for content in [Vec::new(), b"text".repeat(5000), damaged] {
            fs::write(&bad, content).unwrap();
            restore(&location(home.path()), &bad).await.unwrap_err();
            assert_eq!(names(home.path()).await, ["name"]);
        }
        let missing = home.path().join("missing.db");
        let error = restore(&location(home.path()), &missing).await.unwrap_err();
        assert!(matches!(error, StoreError::NotADatabase { .. }), "{error}");
        let left = files(home.path())
            .iter()
            .any(|path| path.extension().is_some_and(|end| end == "restoring"));
        assert!(!left, "an incomplete copy was left");
    });
}

#[test]
fn secrets_of_a_backup_need_the_secret_file() {
    let (home, other) = (home(), home());
    run(async {
        let file = home.path().join("backup.db");
        let store = open(home.path()).await.unwrap();
        settings::set_secret(&store, "hub.token", &"hf_token".into())
            .await
            .unwrap();
        store.close().await;
        backup(&location(home.path()), &file).await.unwrap();

        restore(&location(home.path()), &file).await.unwrap();
        let store = open(home.path()).await.unwrap();
        let secret = settings::secret(&store, "hub.token")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(secret.expose(), b"hf_token");
        store.close().await;

        restore(&location(other.path()), &file).await.unwrap();
        let store = open(other.path()).await.unwrap();
        let error = settings::secret(&store, "hub.token").await.unwrap_err();
        assert!(matches!(error, StoreError::Secret(_)), "{error}");
        store.close().await;
    });
}

#[test]
fn a_backup_contains_chats_with_their_attachments_and_their_search() {
    let (home, other) = (home(), home());
    run(async {
        let file = home.path().join("backup.db");
        let store = open(home.path()).await.unwrap();
        let chat = chat(&store, "kept").await;
        let gone = crate::support::chat(&store, "gone").await;
        // Its documents leave a gap in the numbers of the search, which a copy must keep.
        say(&store, gone.id, None, "needle").await;
        say(&store, gone.id, None, "needle").await;
        chats::delete(&store, OWNER, gone.id).await.unwrap();
        chats::purge(&store, i64::MAX, std::num::NonZeroU64::MIN)
            .await
            .unwrap();
        let content = b"\0content\xff".repeat(10_000);
        let attachment = attachments::put(&store, OWNER, "a.txt", "text/plain", content.clone())
            .await
            .unwrap();
        let new = NewMessage {
            parent_id: None,
            role: Role::User,
            body: MessageBody {
                content: vec![Part::Attachment {
                    hash: attachment.hash.clone(),
                    name: "needle.txt".to_owned(),
                    media_type: attachment.media_type.clone(),
                    size_bytes: attachment.size_bytes,
                }],
                ..MessageBody::default()
            },
            model: None,
        };
        let message = messages::insert(&store, OWNER, chat.id, new).await.unwrap();
        backup(&location(home.path()), &file).await.unwrap();
        store.close().await;

        restore(&location(other.path()), &file).await.unwrap();
        let store = open(other.path()).await.unwrap();
        assert_eq!(
            messages::list(&store, OWNER, chat.id).await.unwrap(),
            std::slice::from_ref(&message)
        );
        let read = attachments::content(&store, OWNER, &attachment.hash).await;
        assert_eq!(read.unwrap(), content);
        let filter = ChatFilter {
            search: Some("needle".to_owned()),
            ..ChatFilter::default()
        };
        let found = chats::list(&store, OWNER, &filter).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].found.as_ref().unwrap().message_id, message.id);
        // The restored search goes on.
        say(&store, chat.id, Some(message.id), "thread").await;
        let filter = ChatFilter {
            search: Some("thread".to_owned()),
            ..ChatFilter::default()
        };
        assert_eq!(chats::list(&store, OWNER, &filter).await.unwrap().len(), 1);
        store.close().await;
    });
}

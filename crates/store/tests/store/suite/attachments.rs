use crate::support::chat;
use mlxm_store::attachments::{self, Attachment};
use mlxm_store::chats;
use mlxm_store::messages::{self, Message, MessageBody, NewMessage, Part, Role};
use mlxm_store::{OWNER, Store, StoreError, Uuid, now_ms};
use std::num::NonZeroU64;

const BATCH: NonZeroU64 = NonZeroU64::new(2).unwrap();

async fn put(store: &Store, name: &str, content: &[u8]) -> Attachment {
    attachments::put(store, OWNER, name, "text/plain", content.to_vec())
        .await
        .unwrap()
}

fn part(attachment: &Attachment) -> Part {
    Part::Attachment {
        hash: attachment.hash.clone(),
        name: attachment.name.clone(),
        media_type: attachment.media_type.clone(),
        size_bytes: attachment.size_bytes,
    }
}

async fn say(store: &Store, chat_id: Uuid, content: Vec<Part>) -> Result<Message, StoreError> {
    let new = NewMessage {
        parent_id: None,
        role: Role::User,
        body: MessageBody {
            content,
            ..MessageBody::default()
        },
        model: None,
    };
    messages::insert(store, OWNER, chat_id, new).await
}

/// Collects all attachments without a reference, whatever their age.
async fn collect(store: &Store) -> u64 {
    attachments::collect(store, now_ms() + 1, BATCH)
        .await
        .unwrap()
}

pub async fn a_content_is_stored_once_for_each_user(store: Store) {
    let content = b"\0bytes\xff".repeat(100_000);
    let first = put(&store, "a.txt", &content).await;
    assert_eq!(first.hash, attachments::hash(&content));
    assert_eq!(first.hash.len(), 64);
    assert_eq!(first.size_bytes, content.len() as u64);
    assert_eq!(first.references, 0);
    let again = attachments::put(&store, OWNER, "b.rs", "text/x-rust", content.clone())
        .await
        .unwrap();
    assert_eq!(again.name, "a.txt", "the first name is kept");
    assert_eq!(again.created_at_ms, first.created_at_ms);
    assert!(again.uploaded_at_ms >= first.uploaded_at_ms);
    let other = put(&store, "empty", b"").await;
    assert_eq!(
        attachments::content(&store, OWNER, &first.hash)
            .await
            .unwrap(),
        content
    );
    assert!(
        attachments::content(&store, OWNER, &other.hash)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(attachments::list(&store, OWNER).await.unwrap().len(), 2);
    assert_eq!(
        attachments::total_bytes(&store, OWNER).await.unwrap(),
        content.len() as u64
    );

    let user = Uuid::now_v7();
    assert_eq!(attachments::total_bytes(&store, user).await.unwrap(), 0);
    assert!(attachments::list(&store, user).await.unwrap().is_empty());
    let error = attachments::content(&store, user, &first.hash)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::NotFound {
                noun: "attachment",
                ..
            }
        ),
        "{error}"
    );
    attachments::put(&store, user, "c", "text/plain", content)
        .await
        .unwrap();
    assert_eq!(
        attachments::get(&store, user, &first.hash)
            .await
            .unwrap()
            .name,
        "c"
    );
}

pub async fn messages_refer_to_attachments(store: Store) {
    let chat = chat(&store, "chat").await;
    let attachment = put(&store, "a.txt", b"a").await;
    let parts = vec![part(&attachment), part(&attachment)];
    let message = say(&store, chat.id, parts).await.unwrap();
    say(&store, chat.id, vec![part(&attachment)]).await.unwrap();
    let references = async || {
        let attachment = attachments::get(&store, OWNER, &attachment.hash)
            .await
            .unwrap();
        attachment.references
    };
    assert_eq!(references().await, 2, "messages, not parts");
    chats::fork(&store, OWNER, chat.id, message.id)
        .await
        .unwrap();
    assert_eq!(references().await, 3);

    let missing = Attachment {
        hash: attachments::hash(b"missing"),
        ..attachment.clone()
    };
    let error = say(&store, chat.id, vec![part(&attachment), part(&missing)])
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&missing.hash), "{error}");
    assert_eq!(references().await, 3);
    assert_eq!(
        messages::list(&store, OWNER, chat.id).await.unwrap().len(),
        2,
        "the message was not stored"
    );
}

pub async fn only_old_attachments_without_a_reference_are_collected(store: Store) {
    let chat = chat(&store, "chat").await;
    let used = put(&store, "used", b"used").await;
    for number in 0..5_u8 {
        put(&store, "unused", &[number]).await;
    }
    let message = say(&store, chat.id, vec![part(&used)]).await.unwrap();
    assert_eq!(
        attachments::collect(&store, used.uploaded_at_ms, BATCH)
            .await
            .unwrap(),
        0,
        "none is that old"
    );
    assert_eq!(collect(&store).await, 5);
    assert_eq!(
        attachments::content(&store, OWNER, &used.hash)
            .await
            .unwrap(),
        b"used"
    );

    messages::delete(&store, OWNER, chat.id, message.id)
        .await
        .unwrap();
    assert_eq!(collect(&store).await, 0, "the message can be restored");
    assert_eq!(chats::purge(&store, now_ms() + 1, BATCH).await.unwrap(), 1);
    assert_eq!(collect(&store).await, 1);
    let error = attachments::content(&store, OWNER, &used.hash)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    assert_eq!(attachments::total_bytes(&store, OWNER).await.unwrap(), 0);
    // The content can be stored again.
    put(&store, "used", b"used").await;
    assert_eq!(
        attachments::content(&store, OWNER, &used.hash)
            .await
            .unwrap(),
        b"used"
    );
}

pub async fn bad_attachments_are_rejected(store: Store) {
    for (name, media_type) in [
        ("", "text/plain"),
        ("a\nb", "text/plain"),
        ("a", ""),
        ("a", "\0"),
    ] {
        let error = attachments::put(&store, OWNER, name, media_type, Vec::new())
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
    assert!(attachments::list(&store, OWNER).await.unwrap().is_empty());
}

pub async fn unknown_hashes_are_reported(store: Store) {
    let chat = chat(&store, "chat").await;
    let first = put(&store, "a", b"first").await;
    let not_found = |error: StoreError| {
        assert!(
            matches!(
                error,
                StoreError::NotFound {
                    noun: "attachment",
                    ..
                }
            ),
            "{error}"
        );
    };
    for hash in [
        first.hash.to_uppercase(),
        "0".repeat(64),
        "\0".repeat(64),
        "../../mlxm.db".to_owned(),
        format!("{} ", first.hash),
        String::new(),
    ] {
        not_found(
            attachments::content(&store, OWNER, &hash)
                .await
                .unwrap_err(),
        );
        not_found(attachments::get(&store, OWNER, &hash).await.unwrap_err());
        let unknown = Attachment {
            hash,
            ..first.clone()
        };
        not_found(
            say(&store, chat.id, vec![part(&unknown)])
                .await
                .unwrap_err(),
        );
    }
}

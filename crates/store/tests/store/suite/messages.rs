use crate::support::{chat, say};
use mlxm_store::chats::{self, ChatProtocol};
use mlxm_store::messages::{
    self, Message, MessageBody, MessageState, NewMessage, Part, Role, ToolCall, Usage,
};
use mlxm_store::runs::{self, NewRun, RunTarget};
use mlxm_store::{OWNER, Store, StoreError, Uuid, attachments};

async fn texts(store: &Store, chat_id: Uuid) -> Vec<String> {
    let messages = messages::list(store, OWNER, chat_id).await.unwrap();
    messages
        .into_iter()
        .map(|message| message.body.text())
        .collect()
}

async fn leaf(store: &Store, chat_id: Uuid) -> Option<Uuid> {
    chats::get(store, OWNER, chat_id).await.unwrap().leaf_id
}

fn not_found(error: &StoreError) {
    assert!(
        matches!(
            error,
            StoreError::NotFound {
                noun: "message",
                ..
            }
        ),
        "{error}"
    );
}

pub async fn a_message_keeps_every_field(store: Store) {
    let chat = chat(&store, "chat").await;
    let file = attachments::put(
        &store,
        OWNER,
        "a.rs",
        "text/x-rust",
        b"fn main() {}".to_vec(),
    )
    .await
    .unwrap();
    let body = MessageBody {
        content: vec![
            Part::Text {
                text: "first \0 part\n".to_owned(),
            },
            Part::Attachment {
                hash: file.hash,
                name: file.name,
                media_type: file.media_type,
                size_bytes: file.size_bytes,
            },
            Part::Text {
                text: "second".to_owned(),
            },
        ],
        reasoning: Some("\0 because".to_owned()),
        tool_calls: vec![ToolCall {
            id: "call_1".to_owned(),
            name: "read_file".to_owned(),
            arguments: r#"{"path":"a"#.to_owned(),
        }],
        finish_reason: Some("tool_calls".to_owned()),
        problem: Some(serde_json::json!({"code": "conflict", "status": 409})),
        usage: Some(Usage {
            prompt_tokens: 1 << 40,
            cached_tokens: 2,
            completion_tokens: 3,
            reasoning_tokens: Some(1),
            queue_ms: 4,
            time_to_first_token_ms: Some(5),
            reasoning_ms: None,
            duration_ms: 6,
        }),
        receipt: Some(serde_json::json!({"seed": i64::MAX})),
    };
    assert_eq!(body.text(), "first \0 part\n\n\nsecond");
    let new = NewMessage {
        parent_id: None,
        role: Role::Assistant,
        body: body.clone(),
        model: Some("owner/name".to_owned()),
    };
    let message = messages::insert(&store, OWNER, chat.id, new).await.unwrap();
    let expected = Message {
        id: message.id,
        chat_id: chat.id,
        parent_id: None,
        role: Role::Assistant,
        body,
        model: Some("owner/name".to_owned()),
        run_id: None,
        seq: 0,
        state: MessageState::Complete,
        created_at_ms: message.created_at_ms,
        updated_at_ms: message.created_at_ms,
    };
    assert_eq!(message, expected);
    let read = messages::get(&store, OWNER, chat.id, message.id)
        .await
        .unwrap();
    assert_eq!(read, expected);
    assert_eq!(
        messages::list(&store, OWNER, chat.id).await.unwrap(),
        [expected]
    );
}

pub async fn a_message_needs_a_chat_and_a_parent(store: Store) {
    let (chat, other) = (chat(&store, "chat").await, chat(&store, "other").await);
    let elsewhere = say(&store, other.id, None, "elsewhere").await;
    let new = |parent_id| NewMessage {
        parent_id,
        role: Role::User,
        body: MessageBody::from_text("text"),
        model: None,
    };
    let missing = Uuid::now_v7();
    let error = messages::insert(&store, OWNER, missing, new(None))
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::NotFound { noun: "chat", .. }),
        "{error}"
    );
    for parent_id in [missing, elsewhere.id] {
        let error = messages::insert(&store, OWNER, chat.id, new(Some(parent_id)))
            .await
            .unwrap_err();
        not_found(&error);
    }
    let error = messages::get(&store, OWNER, chat.id, elsewhere.id)
        .await
        .unwrap_err();
    not_found(&error);
    let error = chats::set_leaf(&store, OWNER, chat.id, elsewhere.id)
        .await
        .unwrap_err();
    not_found(&error);
    assert!(texts(&store, chat.id).await.is_empty());
    assert_eq!(leaf(&store, chat.id).await, None);
}

pub async fn branches_follow_the_open_leaf(store: Store) {
    let chat = chat(&store, "chat").await;
    let first = say(&store, chat.id, None, "first").await;
    let second = say(&store, chat.id, Some(first.id), "second").await;
    let edited = say(&store, chat.id, None, "first, edited").await;
    assert_eq!(leaf(&store, chat.id).await, Some(edited.id));
    assert_eq!(
        texts(&store, chat.id).await,
        ["first", "second", "first, edited"]
    );
    let opened = chats::set_leaf(&store, OWNER, chat.id, first.id)
        .await
        .unwrap();
    assert_eq!(opened.leaf_id, Some(second.id), "the end of its branch");
    assert_eq!(leaf(&store, chat.id).await, Some(second.id));
}

pub async fn deleted_messages_are_restored_with_their_subtree(store: Store) {
    let chat = chat(&store, "chat").await;
    let first = say(&store, chat.id, None, "first").await;
    let second = say(&store, chat.id, Some(first.id), "second").await;
    let other = say(&store, chat.id, Some(first.id), "other").await;
    let third = say(&store, chat.id, Some(second.id), "third").await;

    let deleted = messages::delete(&store, OWNER, chat.id, second.id)
        .await
        .unwrap();
    assert_eq!(deleted.ids, [second.id, third.id]);
    assert_eq!(
        deleted.leaf_id,
        Some(other.id),
        "the newest branch that is left"
    );
    assert_eq!(leaf(&store, chat.id).await, Some(other.id));
    assert_eq!(texts(&store, chat.id).await, ["first", "other"]);
    assert_eq!(
        chats::get(&store, OWNER, chat.id)
            .await
            .unwrap()
            .message_count,
        2
    );
    let error = messages::delete(&store, OWNER, chat.id, second.id)
        .await
        .unwrap_err();
    not_found(&error);

    let restored = messages::restore(&store, OWNER, chat.id, &deleted.ids)
        .await
        .unwrap();
    assert_eq!(restored, [second.clone(), third.clone()]);
    assert_eq!(leaf(&store, chat.id).await, Some(third.id));
    assert_eq!(
        texts(&store, chat.id).await,
        ["first", "second", "other", "third"]
    );

    // A leaf that is not deleted stays open.
    chats::set_leaf(&store, OWNER, chat.id, other.id)
        .await
        .unwrap();
    let deleted = messages::delete(&store, OWNER, chat.id, third.id)
        .await
        .unwrap();
    assert_eq!(deleted.leaf_id, Some(other.id));
    let deleted = messages::delete(&store, OWNER, chat.id, first.id)
        .await
        .unwrap();
    assert_eq!(deleted.ids, [first.id, second.id, other.id]);
    assert_eq!(deleted.leaf_id, None);
    assert_eq!(leaf(&store, chat.id).await, None);
    assert!(texts(&store, chat.id).await.is_empty());
}

pub async fn only_deleted_messages_of_the_chat_are_restored(store: Store) {
    let (chat, other) = (chat(&store, "chat").await, chat(&store, "other").await);
    let first = say(&store, chat.id, None, "first").await;
    let second = say(&store, chat.id, Some(first.id), "second").await;
    messages::delete(&store, OWNER, chat.id, second.id)
        .await
        .unwrap();
    for (chat_id, ids) in [
        (other.id, vec![second.id]),
        (chat.id, vec![first.id]),
        (chat.id, vec![second.id, Uuid::now_v7()]),
    ] {
        let error = messages::restore(&store, OWNER, chat_id, &ids)
            .await
            .unwrap_err();
        not_found(&error);
    }
    messages::delete(&store, OWNER, chat.id, first.id)
        .await
        .unwrap();
    let error = messages::restore(&store, OWNER, chat.id, &[second.id])
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&first.id.to_string()), "{error}");
    assert!(texts(&store, chat.id).await.is_empty());
    let both = [second.id, first.id];
    let restored = messages::restore(&store, OWNER, chat.id, &both)
        .await
        .unwrap();
    assert_eq!(restored, [first, second]);
}

pub async fn a_message_that_a_run_writes_is_not_deleted(store: Store) {
    let chat = chat(&store, "chat").await;
    let first = say(&store, chat.id, None, "first").await;
    let run = NewRun {
        id: Uuid::now_v7(),
        gateway_id: Uuid::now_v7(),
        request_id: "req-1".to_owned(),
        model: "model".to_owned(),
        protocol: ChatProtocol::OpenAi,
        target: RunTarget::Response {
            parent_id: first.id,
        },
        idempotency_key: None,
    };
    let started = runs::start(&store, OWNER, chat.id, run).await.unwrap();
    let error = messages::delete(&store, OWNER, chat.id, first.id)
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Busy { id, .. } if id == started.response.id),
        "{error}"
    );
    assert_eq!(
        messages::list(&store, OWNER, chat.id).await.unwrap().len(),
        2
    );
}

pub async fn a_key_stores_one_message_of_a_chat(store: Store) {
    let (chat, other) = (chat(&store, "chat").await, chat(&store, "other").await);
    let new = |text: &str| NewMessage {
        parent_id: None,
        role: Role::Assistant,
        body: MessageBody::from_text(text),
        model: None,
    };
    let chat_id = chat.id;
    let inserts: Vec<_> = (0..4)
        .map(|_| {
            let (store, new) = (store.clone(), new("once"));
            tokio::spawn(
                async move { messages::insert_once(&store, OWNER, chat_id, new, "key").await },
            )
        })
        .collect();
    let mut inserted = Vec::new();
    for insert in inserts {
        inserted.push(insert.await.unwrap().unwrap());
    }
    let first = inserted[0].clone();
    assert!(inserted.iter().all(|message| *message == first));
    assert_eq!(texts(&store, chat.id).await, ["once"]);
    assert_eq!(leaf(&store, chat.id).await, Some(first.id));
    for (chat_id, key) in [(chat.id, "other"), (other.id, "key")] {
        let message = messages::insert_once(&store, OWNER, chat_id, new("another"), key)
            .await
            .unwrap();
        assert_ne!(message.id, first.id);
    }
    let error = messages::insert_once(&store, OWNER, chat.id, new("bad"), " ")
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("idempotency_key"), "{error}");
    // It is not stored again after its deletion.
    messages::delete(&store, OWNER, chat.id, first.id)
        .await
        .unwrap();
    let error = messages::insert_once(&store, OWNER, chat.id, new("again"), "key")
        .await
        .unwrap_err();
    not_found(&error);
}

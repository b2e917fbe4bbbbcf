//! What a run may begin with, keys and responses to continue, and what it may store of a deleted chat.

use super::runs::{new_run, question, snapshot, start};
use crate::support::{chat, say};
use mlxm_store::chats;
use mlxm_store::messages::{self, MessageBody, MessageState, Usage};
use mlxm_store::runs::{self, NewRun, RunState, RunTarget, Snapshot};
use mlxm_store::{OWNER, Store, StoreError, Uuid};

pub async fn an_idempotency_key_belongs_to_its_chat(store: Store) {
    let (first, second) = (chat(&store, "first").await, chat(&store, "second").await);
    let new = || NewRun {
        idempotency_key: Some("key".to_owned()),
        ..new_run(question(None))
    };
    runs::start(&store, OWNER, first.id, new()).await.unwrap();
    let error = runs::start(&store, OWNER, second.id, new())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Conflict {
                field: "idempotency_key",
                ..
            }
        ),
        "{error}"
    );
    assert!(
        messages::list(&store, OWNER, second.id)
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn a_continued_response_does_not_end_as_before(store: Store) {
    let chat = chat(&store, "chat").await;
    let first = start(&store, chat.id, question(None)).await;
    let failed = Snapshot {
        body: MessageBody {
            reasoning: Some("because".to_owned()),
            finish_reason: Some("failed".to_owned()),
            problem: Some(serde_json::json!({"code": "worker_failed"})),
            usage: Some(Usage::default()),
            receipt: Some(serde_json::json!({"protocol": "anthropic"})),
            ..MessageBody::from_text("begun")
        },
        ..snapshot(first.run.id, RunState::Failed, 5, "")
    };
    runs::save(&store, &failed).await.unwrap();
    let target = RunTarget::Continue {
        message_id: first.response.id,
    };
    let second = start(&store, chat.id, target).await;
    let expected = MessageBody {
        finish_reason: None,
        problem: None,
        usage: None,
        ..failed.body
    };
    assert_eq!(second.response.body, expected);
    // Nor does it when its gateway is killed before the first snapshot.
    runs::interrupt(&store, Uuid::from_u128(1)).await.unwrap();
    let interrupted = messages::get(&store, OWNER, chat.id, first.response.id)
        .await
        .unwrap();
    assert_eq!(interrupted.state, MessageState::Interrupted);
    assert_eq!(interrupted.body, expected);
}

pub async fn a_response_that_others_follow_is_not_continued(store: Store) {
    let chat = chat(&store, "chat").await;
    let first = start(&store, chat.id, question(None)).await;
    let stopped = snapshot(first.run.id, RunState::Stopped, 5, "begun");
    runs::save(&store, &stopped).await.unwrap();
    let next = say(&store, chat.id, Some(first.response.id), "next").await;
    let target = RunTarget::Continue {
        message_id: first.response.id,
    };
    let error = runs::start(&store, OWNER, chat.id, new_run(target.clone()))
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Followed { id, .. } if id == first.response.id),
        "{error}"
    );
    let response = messages::get(&store, OWNER, chat.id, first.response.id)
        .await
        .unwrap();
    assert_eq!(response.state, MessageState::Stopped);
    messages::delete(&store, OWNER, chat.id, next.id)
        .await
        .unwrap();
    start(&store, chat.id, target).await;
}

pub async fn a_run_of_a_deleted_chat_stores_its_result_only(store: Store) {
    let chat = chat(&store, "chat").await;
    let started = start(&store, chat.id, question(None)).await;
    let id = started.run.id;
    runs::save(&store, &snapshot(id, RunState::Running, 1, "a"))
        .await
        .unwrap();
    chats::delete(&store, OWNER, chat.id).await.unwrap();
    let error = runs::save(&store, &snapshot(id, RunState::Running, 2, "ab"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::NotFound { noun: "chat", .. }),
        "{error}"
    );
    runs::save(&store, &snapshot(id, RunState::Stopped, 3, "abc"))
        .await
        .unwrap();
    chats::restore(&store, OWNER, chat.id).await.unwrap();
    let message = messages::get(&store, OWNER, chat.id, started.response.id)
        .await
        .unwrap();
    assert_eq!(message.state, MessageState::Stopped);
    assert_eq!(message.body.text(), "abc");
}

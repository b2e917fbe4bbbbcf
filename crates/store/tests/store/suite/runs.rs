use crate::support::{chat, say};
use mlxm_store::chats::{self, ChatFilter, ChatProtocol};
use mlxm_store::messages::{self, MessageBody, MessageState, Part, Role};
use mlxm_store::runs::{self, NewRun, RunState, RunTarget, Snapshot, StartedRun};
use mlxm_store::{OWNER, Store, StoreError, Uuid};

pub fn new_run(target: RunTarget) -> NewRun {
    NewRun {
        id: Uuid::now_v7(),
        gateway_id: Uuid::from_u128(1),
        request_id: "req-1".to_owned(),
        model: "owner/name".to_owned(),
        protocol: ChatProtocol::Anthropic,
        target,
        idempotency_key: None,
    }
}

pub fn question(parent_id: Option<Uuid>) -> RunTarget {
    RunTarget::Message {
        parent_id,
        content: vec![Part::Text {
            text: "question".to_owned(),
        }],
    }
}

pub async fn start(store: &Store, chat_id: Uuid, target: RunTarget) -> StartedRun {
    runs::start(store, OWNER, chat_id, new_run(target))
        .await
        .unwrap()
}

pub fn snapshot(run_id: Uuid, state: RunState, seq: u64, text: &str) -> Snapshot {
    Snapshot {
        run_id,
        state,
        seq,
        body: MessageBody::from_text(text),
    }
}

async fn finds(store: &Store, text: &str) -> usize {
    let filter = ChatFilter {
        search: Some(text.to_owned()),
        ..ChatFilter::default()
    };
    chats::list(store, OWNER, &filter).await.unwrap().len()
}

pub async fn a_run_stores_its_messages_and_opens_the_response(store: Store) {
    let chat = chat(&store, "chat").await;
    let started = start(&store, chat.id, question(None)).await;
    let (run, parent, response) = (
        &started.run,
        started.parent.as_ref().unwrap(),
        &started.response,
    );
    assert!(started.is_new);
    assert_eq!(run.state, RunState::Waiting);
    assert_eq!(run.protocol, ChatProtocol::Anthropic);
    assert_eq!((run.chat_id, run.message_id), (chat.id, response.id));
    assert_eq!(run.finished_at_ms, None);
    assert_eq!(
        (parent.role, parent.state),
        (Role::User, MessageState::Complete)
    );
    assert_eq!(parent.body.text(), "question");
    assert_eq!(
        (response.role, response.state),
        (Role::Assistant, MessageState::Running)
    );
    assert_eq!(response.parent_id, Some(parent.id));
    assert_eq!((response.run_id, response.seq), (Some(run.id), 0));
    assert_eq!(response.body, MessageBody::default());
    assert_eq!(
        messages::list(&store, OWNER, chat.id).await.unwrap(),
        [parent.clone(), response.clone()]
    );
    assert_eq!(
        chats::get(&store, OWNER, chat.id).await.unwrap().leaf_id,
        Some(response.id)
    );
    assert_eq!(runs::get(&store, OWNER, run.id).await.unwrap(), *run);
    let user = Uuid::now_v7();
    let error = runs::get(&store, user, run.id).await.unwrap_err();
    assert!(
        matches!(error, StoreError::NotFound { noun: "run", .. }),
        "{error}"
    );
}

pub async fn a_response_is_generated_again_next_to_the_first(store: Store) {
    let chat = chat(&store, "chat").await;
    let message = say(&store, chat.id, None, "question").await;
    let target = RunTarget::Response {
        parent_id: message.id,
    };
    let first = start(&store, chat.id, target.clone()).await;
    let second = start(&store, chat.id, target).await;
    assert_eq!(first.parent.as_ref(), Some(&message));
    assert_ne!(first.response.id, second.response.id);
    assert_eq!(second.response.parent_id, Some(message.id));
    assert_eq!(
        chats::get(&store, OWNER, chat.id).await.unwrap().leaf_id,
        Some(second.response.id)
    );
    for run in [first.run, second.run] {
        assert_eq!(runs::get(&store, OWNER, run.id).await.unwrap(), run);
    }
}

pub async fn an_idempotency_key_starts_one_run(store: Store) {
    let chat = chat(&store, "chat").await;
    let new = |key: &str| NewRun {
        idempotency_key: Some(key.to_owned()),
        ..new_run(question(None))
    };
    let chat_id = chat.id;
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let (store, new) = (store.clone(), new("key"));
            tokio::spawn(async move { runs::start(&store, OWNER, chat_id, new).await })
        })
        .collect();
    let mut started = Vec::new();
    for start in starts {
        started.push(start.await.unwrap().unwrap());
    }
    assert_eq!(started.iter().filter(|started| started.is_new).count(), 1);
    for again in &started {
        assert_eq!(again.run, started[0].run);
        assert_eq!(again.response, started[0].response);
        assert_eq!(again.parent, started[0].parent);
    }
    assert_eq!(
        messages::list(&store, OWNER, chat.id).await.unwrap().len(),
        2
    );
    let other = runs::start(&store, OWNER, chat.id, new("other"))
        .await
        .unwrap();
    assert!(other.is_new);
    assert_eq!(
        messages::list(&store, OWNER, chat.id).await.unwrap().len(),
        4
    );
}

pub async fn snapshots_are_stored_in_order_until_the_end(store: Store) {
    let chat = chat(&store, "chat").await;
    let started = start(&store, chat.id, question(None)).await;
    let id = started.run.id;
    let read = async || {
        let message = messages::get(&store, OWNER, chat.id, started.response.id)
            .await
            .unwrap();
        (message.body.text(), message.seq, message.state)
    };
    runs::save(&store, &snapshot(id, RunState::Waiting, 1, ""))
        .await
        .unwrap();
    assert_eq!(read().await, (String::new(), 1, MessageState::Running));
    runs::save(&store, &snapshot(id, RunState::Running, 7, "partial te"))
        .await
        .unwrap();
    let expected = ("partial te".to_owned(), 7, MessageState::Running);
    assert_eq!(read().await, expected);
    let running = runs::get(&store, OWNER, id).await.unwrap();
    assert_eq!(
        (running.state, running.finished_at_ms),
        (RunState::Running, None)
    );
    assert_eq!(
        finds(&store, "partial").await,
        0,
        "it changes until the end"
    );

    let error = runs::save(&store, &snapshot(id, RunState::Running, 6, "old"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Invalid {
                field: "snapshot",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(read().await, expected);

    let last = Snapshot {
        body: MessageBody {
            finish_reason: Some("stop".to_owned()),
            reasoning: Some("because".to_owned()),
            ..MessageBody::from_text("searched text")
        },
        ..snapshot(id, RunState::Finished, 9, "")
    };
    runs::save(&store, &last).await.unwrap();
    let message = messages::get(&store, OWNER, chat.id, started.response.id)
        .await
        .unwrap();
    assert_eq!(message.body, last.body);
    assert_eq!((message.seq, message.state), (9, MessageState::Complete));
    let ended = runs::get(&store, OWNER, id).await.unwrap();
    assert_eq!(ended.state, RunState::Finished);
    assert!(ended.finished_at_ms.is_some());
    assert_eq!(finds(&store, "searched").await, 1);

    let error = runs::save(&store, &snapshot(id, RunState::Running, 10, "late"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("has ended"), "{error}");
    let unknown = snapshot(Uuid::now_v7(), RunState::Running, 1, "");
    let error = runs::save(&store, &unknown).await.unwrap_err();
    assert!(
        matches!(error, StoreError::NotFound { noun: "run", .. }),
        "{error}"
    );
}

pub async fn a_response_is_continued_by_one_run_at_a_time(store: Store) {
    let chat = chat(&store, "chat").await;
    let first = start(&store, chat.id, question(None)).await;
    let target = RunTarget::Continue {
        message_id: first.response.id,
    };
    let busy = |error: StoreError| {
        assert!(
            matches!(error, StoreError::Busy { id, .. } if id == first.response.id),
            "{error}"
        );
    };
    let error = runs::start(&store, OWNER, chat.id, new_run(target.clone())).await;
    busy(error.unwrap_err());
    let after = question(Some(first.response.id));
    let error = runs::start(&store, OWNER, chat.id, new_run(after)).await;
    busy(error.unwrap_err());
    runs::save(
        &store,
        &snapshot(first.run.id, RunState::Stopped, 5, "begun"),
    )
    .await
    .unwrap();
    let response = messages::get(&store, OWNER, chat.id, first.response.id)
        .await
        .unwrap();
    assert_eq!(response.state, MessageState::Stopped);

    let other = NewRun {
        model: "other".to_owned(),
        ..new_run(target.clone())
    };
    let second = runs::start(&store, OWNER, chat.id, other).await.unwrap();
    assert_eq!(second.response.id, first.response.id);
    assert_eq!(second.response.body.text(), "begun");
    assert_eq!(second.response.model.as_deref(), Some("other"));
    assert_eq!(
        (second.response.run_id, second.response.seq),
        (Some(second.run.id), 0)
    );
    assert_eq!(
        messages::get(&store, OWNER, chat.id, first.response.id)
            .await
            .unwrap(),
        second.response
    );
    let error = runs::start(&store, OWNER, chat.id, new_run(target)).await;
    busy(error.unwrap_err());
    runs::save(
        &store,
        &snapshot(second.run.id, RunState::Finished, 2, "begun and ended"),
    )
    .await
    .unwrap();
    assert_eq!(finds(&store, "begun ended").await, 1);
    assert_eq!(
        messages::list(&store, OWNER, chat.id).await.unwrap().len(),
        2
    );
}

pub async fn runs_need_messages_of_the_right_role(store: Store) {
    let chat = chat(&store, "chat").await;
    let started = start(&store, chat.id, question(None)).await;
    let (user, response) = (started.parent.unwrap().id, started.response.id);
    for target in [
        RunTarget::Continue { message_id: user },
        RunTarget::Response {
            parent_id: response,
        },
    ] {
        let error = runs::start(&store, OWNER, chat.id, new_run(target))
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Invalid {
                    field: "message",
                    ..
                }
            ),
            "{error}"
        );
    }
    let missing = Uuid::now_v7();
    for target in [
        question(Some(missing)),
        RunTarget::Response { parent_id: missing },
        RunTarget::Continue {
            message_id: missing,
        },
    ] {
        let error = runs::start(&store, OWNER, chat.id, new_run(target))
            .await
            .unwrap_err();
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
    assert_eq!(
        messages::list(&store, OWNER, chat.id).await.unwrap().len(),
        2
    );
}

pub async fn interrupted_runs_keep_their_text(store: Store) {
    let chat = chat(&store, "chat").await;
    let ended = start(&store, chat.id, question(None)).await;
    runs::save(
        &store,
        &snapshot(ended.run.id, RunState::Finished, 3, "complete"),
    )
    .await
    .unwrap();
    let running = start(&store, chat.id, question(None)).await;
    runs::save(
        &store,
        &snapshot(running.run.id, RunState::Running, 3, "half a sent"),
    )
    .await
    .unwrap();
    let waiting = start(&store, chat.id, question(None)).await;
    let elsewhere = NewRun {
        gateway_id: Uuid::from_u128(2),
        ..new_run(question(None))
    };
    let elsewhere = runs::start(&store, OWNER, chat.id, elsewhere)
        .await
        .unwrap();

    let interrupted = runs::interrupt(&store, Uuid::from_u128(1)).await.unwrap();
    let ids: Vec<Uuid> = interrupted.iter().map(|run| run.id).collect();
    assert_eq!(
        ids,
        [running.run.id, waiting.run.id, elsewhere.run.id],
        "its own, and that of a gateway that is not registered"
    );
    for run in &interrupted {
        assert_eq!(run.state, RunState::Interrupted);
        assert_eq!(runs::get(&store, OWNER, run.id).await.unwrap(), *run);
    }
    let read = async |id| {
        let message = messages::get(&store, OWNER, chat.id, id).await.unwrap();
        (message.body.text(), message.seq, message.state)
    };
    assert_eq!(
        read(running.response.id).await,
        ("half a sent".to_owned(), 3, MessageState::Interrupted)
    );
    assert_eq!(
        read(waiting.response.id).await,
        (String::new(), 0, MessageState::Interrupted)
    );
    assert_eq!(
        read(ended.response.id).await,
        ("complete".to_owned(), 3, MessageState::Complete)
    );
    assert_eq!(
        read(elsewhere.response.id).await.2,
        MessageState::Interrupted
    );
    assert_eq!(finds(&store, "half sent").await, 1);
    assert!(
        runs::interrupt(&store, Uuid::from_u128(1))
            .await
            .unwrap()
            .is_empty()
    );

    // It can be continued.
    let target = RunTarget::Continue {
        message_id: running.response.id,
    };
    let continued = start(&store, chat.id, target).await;
    assert_eq!(continued.response.body.text(), "half a sent");
}

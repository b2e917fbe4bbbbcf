use crate::support::{chat, say};
use mlxm_store::chats::{self, ChatConfig, ChatFilter, ChatImport};
use mlxm_store::messages::{self, Message, MessageBody, MessageState, Role, Usage};
use mlxm_store::{OWNER, Store, StoreError, Uuid, now_ms};
use std::num::NonZeroU64;

fn titled(title: &str) -> ChatConfig {
    ChatConfig {
        title: title.to_owned(),
        ..ChatConfig::default()
    }
}

async fn titles(store: &Store, search: Option<&str>) -> Vec<String> {
    let filter = ChatFilter {
        search: search.map(str::to_owned),
        ..ChatFilter::default()
    };
    let chats = chats::list(store, OWNER, &filter).await.unwrap();
    chats
        .into_iter()
        .map(|listed| listed.chat.config.title)
        .collect()
}

pub async fn a_fork_copies_one_branch(store: Store) {
    let config = ChatConfig {
        tags: vec!["tag".to_owned()],
        ..titled("source")
    };
    let source = chats::create(&store, OWNER, config.clone()).await.unwrap();
    let first = say(&store, source.id, None, "first").await;
    let second = say(&store, source.id, Some(first.id), "second").await;
    say(&store, source.id, Some(first.id), "other branch").await;
    say(&store, source.id, Some(second.id), "later").await;
    let fork = chats::fork(&store, OWNER, source.id, second.id)
        .await
        .unwrap();
    assert_eq!(fork.config, config);
    assert_eq!(chats::get(&store, OWNER, fork.id).await.unwrap(), fork);
    let copies = messages::list(&store, OWNER, fork.id).await.unwrap();
    let texts: Vec<String> = copies.iter().map(|message| message.body.text()).collect();
    assert_eq!(texts, ["first", "second"]);
    assert_eq!(copies[1].parent_id, Some(copies[0].id));
    assert_eq!(fork.leaf_id, Some(copies[1].id));
    assert!(
        copies
            .iter()
            .all(|copy| copy.id != first.id && copy.id != second.id)
    );
    assert_eq!(
        chats::get(&store, OWNER, source.id)
            .await
            .unwrap()
            .message_count,
        4
    );

    let error = chats::fork(&store, OWNER, source.id, copies[0].id)
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

pub async fn an_import_keeps_the_tree_with_new_ids(store: Store) {
    let id = |number: u128| Uuid::from_u128(number);
    let response = Message {
        role: Role::Assistant,
        state: MessageState::Running,
        model: Some("model".to_owned()),
        body: MessageBody {
            reasoning: Some("because".to_owned()),
            usage: Some(Usage {
                prompt_tokens: 3,
                ..Usage::default()
            }),
            ..MessageBody::from_text("response")
        },
        ..imported(id(2), Some(id(1)), "")
    };
    let file = ChatImport {
        config: titled("imported"),
        leaf_id: Some(id(3)),
        created_at_ms: 5,
        messages: vec![
            imported(id(3), Some(id(2)), "next"),
            response.clone(),
            imported(id(4), Some(id(1)), "other branch"),
            imported(id(1), None, "question"),
        ],
    };
    let chat = chats::import(&store, OWNER, file.clone()).await.unwrap();
    assert_eq!(chat.created_at_ms, 5);
    assert_eq!(chats::get(&store, OWNER, chat.id).await.unwrap(), chat);
    let messages = messages::list(&store, OWNER, chat.id).await.unwrap();
    assert_eq!(messages.len(), 4);
    let find = |text: &str| {
        messages
            .iter()
            .find(|message| message.body.text() == text)
            .unwrap()
    };
    assert_eq!(find("question").parent_id, None);
    assert_eq!(find("response").parent_id, Some(find("question").id));
    assert_eq!(find("other branch").parent_id, Some(find("question").id));
    assert_eq!(find("next").parent_id, Some(find("response").id));
    assert_eq!(chat.leaf_id, Some(find("next").id));
    let read = find("response");
    assert_eq!(read.body, response.body);
    assert_eq!(read.model, response.model);
    assert_eq!(read.state, MessageState::Interrupted, "no run writes it");
    assert_eq!((read.run_id, read.seq), (None, 0));
    assert_eq!(read.created_at_ms, response.created_at_ms);
    // The same file is another chat.
    let again = chats::import(&store, OWNER, file).await.unwrap();
    assert_ne!(again.id, chat.id);
    assert_eq!(titles(&store, None).await.len(), 2);
}

pub async fn an_import_that_is_no_tree_is_rejected(store: Store) {
    let id = |number: u128| Uuid::from_u128(number);
    let files = [
        (vec![imported(id(1), Some(id(1)), "a")], None),
        (vec![imported(id(1), Some(id(2)), "a")], None),
        (
            vec![imported(id(1), None, "a"), imported(id(1), None, "b")],
            None,
        ),
        (vec![imported(id(1), None, "a")], Some(id(2))),
    ];
    for (messages, leaf_id) in files {
        let file = ChatImport {
            config: titled("a"),
            leaf_id,
            created_at_ms: 0,
            messages,
        };
        let error = chats::import(&store, OWNER, file).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
    assert!(titles(&store, None).await.is_empty());
}

/// A branch is longer than SQLite lets a deletion cascade.
pub async fn a_purge_deletes_everything_of_a_long_chat(store: Store) {
    let messages = (0..1500_u128).map(|number| {
        let parent_id = number.checked_sub(1).map(Uuid::from_u128);
        imported(Uuid::from_u128(number), parent_id, "word")
    });
    let file = ChatImport {
        config: titled("long"),
        leaf_id: None,
        created_at_ms: 0,
        messages: messages.collect(),
    };
    let long = chats::import(&store, OWNER, file).await.unwrap();
    assert_eq!(long.message_count, 1500);
    let other = chat(&store, "other").await;
    say(&store, other.id, None, "word").await;
    chats::delete(&store, OWNER, long.id).await.unwrap();
    assert_eq!(
        chats::purge(&store, now_ms() + 1, NonZeroU64::MIN)
            .await
            .unwrap(),
        1
    );
    assert_eq!(titles(&store, Some("word")).await, ["other"]);
}

fn imported(id: Uuid, parent_id: Option<Uuid>, text: &str) -> Message {
    Message {
        id,
        chat_id: Uuid::from_u128(99),
        parent_id,
        role: Role::User,
        body: MessageBody::from_text(text),
        model: None,
        run_id: Some(Uuid::from_u128(98)),
        seq: 7,
        state: MessageState::Complete,
        created_at_ms: 1_700_000_000_000,
        updated_at_ms: 1_700_000_000_000,
    }
}

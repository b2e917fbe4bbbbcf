use crate::support::{chat, say};
use mlxm_store::chats::{self, Chat, ChatConfig, ChatFilter, ChatProtocol, TagCount};
use mlxm_store::messages;
use mlxm_store::personas::{self, PersonaConfig};
use mlxm_store::profiles::{RequestSettings, Thinking};
use mlxm_store::{OWNER, Store, StoreError, Uuid, now_ms};
use std::num::NonZeroU64;

const BATCH: NonZeroU64 = NonZeroU64::new(2).unwrap();

async fn titles(store: &Store, filter: &ChatFilter) -> Vec<String> {
    let chats = chats::list(store, OWNER, filter).await.unwrap();
    chats
        .into_iter()
        .map(|listed| listed.chat.config.title)
        .collect()
}

async fn configured(store: &Store, config: ChatConfig) -> Chat {
    chats::create(store, OWNER, config).await.unwrap()
}

fn titled(title: &str) -> ChatConfig {
    ChatConfig {
        title: title.to_owned(),
        ..ChatConfig::default()
    }
}

pub async fn a_chat_keeps_every_field(store: Store) {
    let persona = personas::list(&store, OWNER).await.unwrap().remove(0);
    let config = ChatConfig {
        title: "Fix the flaky test — 修正".to_owned(),
        is_title_automatic: true,
        model: Some("owner/name".to_owned()),
        protocol: ChatProtocol::Anthropic,
        persona_id: Some(persona.id),
        system_prompt: Some("Be brief.\n".to_owned()),
        settings: RequestSettings {
            temperature: Some(0.25),
            thinking: Some(Thinking::Effort("low".to_owned())),
            ..RequestSettings::default()
        },
        is_pinned: true,
        tags: vec!["b".to_owned(), "a".to_owned(), "b".to_owned()],
    };
    let created = configured(&store, config.clone()).await;
    assert_eq!(created.config.tags, ["a", "b"]);
    assert_eq!(
        chats::get(&store, OWNER, created.id).await.unwrap(),
        created
    );

    let changed = chats::update(&store, OWNER, created.id, titled(""))
        .await
        .unwrap();
    assert_eq!(changed.config, titled(""));
    assert_eq!(changed.created_at_ms, created.created_at_ms);
    assert_eq!(
        changed.active_at_ms, created.active_at_ms,
        "a change is no activity"
    );
    assert_eq!(
        chats::get(&store, OWNER, created.id).await.unwrap(),
        changed
    );

    chats::update(&store, OWNER, created.id, config)
        .await
        .unwrap();
    personas::delete(&store, OWNER, persona.id).await.unwrap();
    let read = chats::get(&store, OWNER, created.id).await.unwrap();
    assert_eq!(read.config.persona_id, None, "a chat outlives its persona");
    assert_eq!(read.config.tags, ["a", "b"]);
}

pub async fn bad_chats_are_rejected(store: Store) {
    let bad = [
        titled(" a"),
        titled(&"a".repeat(201)),
        ChatConfig {
            tags: vec![String::new()],
            ..titled("a")
        },
        ChatConfig {
            model: Some("\0".to_owned()),
            ..titled("a")
        },
        ChatConfig {
            system_prompt: Some("\0".to_owned()),
            ..titled("a")
        },
    ];
    let existing = chat(&store, "existing").await;
    for config in bad {
        let error = chats::create(&store, OWNER, config.clone())
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
        let error = chats::update(&store, OWNER, existing.id, config)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
    let persona = ChatConfig {
        persona_id: Some(Uuid::now_v7()),
        ..titled("a")
    };
    let error = chats::create(&store, OWNER, persona).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::NotFound {
                noun: "persona",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(titles(&store, &ChatFilter::default()).await, ["existing"]);
}

pub async fn a_user_sees_only_own_chats(store: Store) {
    let chat = chat(&store, "words").await;
    let message = say(&store, chat.id, None, "words").await;
    let user = Uuid::now_v7();
    let not_found = |error: StoreError| {
        assert!(
            matches!(error, StoreError::NotFound { noun: "chat", .. }),
            "{error}"
        );
    };
    not_found(chats::get(&store, user, chat.id).await.unwrap_err());
    not_found(
        chats::update(&store, user, chat.id, titled("b"))
            .await
            .unwrap_err(),
    );
    not_found(
        chats::set_leaf(&store, user, chat.id, message.id)
            .await
            .unwrap_err(),
    );
    not_found(
        chats::fork(&store, user, chat.id, message.id)
            .await
            .unwrap_err(),
    );
    not_found(chats::delete(&store, user, chat.id).await.unwrap_err());
    not_found(messages::list(&store, user, chat.id).await.unwrap_err());
    not_found(
        messages::get(&store, user, chat.id, message.id)
            .await
            .unwrap_err(),
    );
    not_found(
        messages::delete(&store, user, chat.id, message.id)
            .await
            .unwrap_err(),
    );
    let search = ChatFilter {
        search: Some("words".to_owned()),
        ..ChatFilter::default()
    };
    assert!(chats::list(&store, user, &search).await.unwrap().is_empty());
    let persona = PersonaConfig {
        name: "own".to_owned(),
        ..PersonaConfig::default()
    };
    let persona = personas::create(&store, user, persona).await.unwrap();
    let config = ChatConfig {
        persona_id: Some(persona.id),
        ..titled("a")
    };
    chats::create(&store, OWNER, config.clone())
        .await
        .unwrap_err();
    chats::create(&store, user, config).await.unwrap();
    assert_eq!(titles(&store, &ChatFilter::default()).await, ["words"]);
}

pub async fn lists_have_pinned_chats_first_and_then_the_latest_activity(store: Store) {
    let mut chats_by_title = Vec::new();
    for title in ["a", "b", "c", "d"] {
        chats_by_title.push(chat(&store, title).await);
    }
    assert_eq!(
        titles(&store, &ChatFilter::default()).await,
        ["d", "c", "b", "a"]
    );
    let b = &chats_by_title[1];
    let pinned = ChatConfig {
        is_pinned: true,
        ..titled("b")
    };
    chats::update(&store, OWNER, b.id, pinned).await.unwrap();
    // The clock has milliseconds.
    while now_ms() <= chats_by_title[3].active_at_ms {
        std::hint::spin_loop();
    }
    say(&store, chats_by_title[0].id, None, "text").await;
    assert_eq!(
        titles(&store, &ChatFilter::default()).await,
        ["b", "a", "d", "c"]
    );
    for (is_pinned, expected) in [(true, vec!["b"]), (false, vec!["a", "d", "c"])] {
        let filter = ChatFilter {
            is_pinned: Some(is_pinned),
            ..ChatFilter::default()
        };
        assert_eq!(titles(&store, &filter).await, expected);
    }
}

pub async fn pages_contain_every_chat_once(store: Store) {
    for number in 0..23 {
        let config = ChatConfig {
            is_pinned: number % 5 == 0,
            ..titled(&format!("{number:02}"))
        };
        configured(&store, config).await;
    }
    let all = titles(&store, &ChatFilter::default()).await;
    assert_eq!(all.len(), 23);
    for limit in [1, 4, 23, 100] {
        let mut filter = ChatFilter {
            limit,
            ..ChatFilter::default()
        };
        let mut pages = Vec::new();
        loop {
            let page = chats::list(&store, OWNER, &filter).await.unwrap();
            let Some(last) = page.last() else {
                break;
            };
            assert!(page.len() as u64 <= limit);
            filter.after = Some(last.chat.position());
            pages.extend(page.into_iter().map(|listed| listed.chat.config.title));
        }
        assert_eq!(pages, all, "pages of {limit}");
    }
}

pub async fn filters_select_chats(store: Store) {
    let with = |title: &str, model: Option<&str>, tags: &[&str]| ChatConfig {
        model: model.map(str::to_owned),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..titled(title)
    };
    configured(&store, with("a", Some("small"), &["work"])).await;
    configured(&store, with("b", Some("large"), &["work", "rust"])).await;
    configured(&store, with("c", None, &[])).await;
    let models = |models: &[&str]| ChatFilter {
        models: Some(models.iter().map(|model| (*model).to_owned()).collect()),
        ..ChatFilter::default()
    };
    assert_eq!(titles(&store, &models(&["small"])).await, ["a"]);
    assert_eq!(
        titles(&store, &models(&["small", "large"])).await,
        ["b", "a"]
    );
    assert!(titles(&store, &models(&[])).await.is_empty());
    let tag = |tag: &str| ChatFilter {
        tag: Some(tag.to_owned()),
        ..ChatFilter::default()
    };
    assert_eq!(titles(&store, &tag("work")).await, ["b", "a"]);
    assert_eq!(titles(&store, &tag("rust")).await, ["b"]);
    assert!(titles(&store, &tag("other")).await.is_empty());
    for filter in [tag("a\0"), models(&["small", "a\0"])] {
        let error = chats::list(&store, OWNER, &filter).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
}

pub async fn tags_are_counted(store: Store) {
    let tagged = |tags: &[&str]| ChatConfig {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..ChatConfig::default()
    };
    configured(&store, tagged(&["b", "Z"])).await;
    configured(&store, tagged(&["b"])).await;
    let deleted = configured(&store, tagged(&["b", "deleted"])).await;
    chats::delete(&store, OWNER, deleted.id).await.unwrap();
    chats::create_temporary(&store, OWNER, tagged(&["temporary"]))
        .await
        .unwrap();
    let count = |tag: &str, chats| TagCount {
        tag: tag.to_owned(),
        chats,
    };
    assert_eq!(
        chats::tags(&store, OWNER).await.unwrap(),
        [count("Z", 1), count("b", 2)]
    );
}

pub async fn a_deleted_chat_is_restored_or_purged(store: Store) {
    let kept = chat(&store, "kept").await;
    let deleted = chat(&store, "deleted").await;
    let message = say(&store, deleted.id, None, "text").await;
    chats::delete(&store, OWNER, deleted.id).await.unwrap();
    let error = chats::delete(&store, OWNER, deleted.id).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    let error = chats::get(&store, OWNER, deleted.id).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    let error = messages::list(&store, OWNER, deleted.id).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    assert_eq!(titles(&store, &ChatFilter::default()).await, ["kept"]);
    let only_deleted = ChatFilter {
        is_deleted: true,
        ..ChatFilter::default()
    };
    assert_eq!(titles(&store, &only_deleted).await, ["deleted"]);

    let restored = chats::restore(&store, OWNER, deleted.id).await.unwrap();
    assert_eq!(restored.deleted_at_ms, None);
    assert_eq!(restored.leaf_id, Some(message.id));
    assert_eq!(
        messages::list(&store, OWNER, deleted.id).await.unwrap(),
        [message]
    );
    let error = chats::restore(&store, OWNER, kept.id).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");

    chats::delete(&store, OWNER, deleted.id).await.unwrap();
    assert_eq!(chats::purge(&store, 0, BATCH).await.unwrap(), 0);
    assert_eq!(chats::purge(&store, now_ms() + 1, BATCH).await.unwrap(), 1);
    let error = chats::restore(&store, OWNER, deleted.id).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    assert!(titles(&store, &only_deleted).await.is_empty());
    assert_eq!(titles(&store, &ChatFilter::default()).await, ["kept"]);
}

pub async fn an_erased_chat_leaves_what_others_can_restore(store: Store) {
    let (erased, other) = (chat(&store, "erased").await, chat(&store, "other").await);
    let deleted = chat(&store, "deleted").await;
    chats::delete(&store, OWNER, deleted.id).await.unwrap();
    say(&store, erased.id, None, "text").await;
    let message = say(&store, other.id, None, "text").await;
    messages::delete(&store, OWNER, other.id, message.id)
        .await
        .unwrap();
    let not_found = |error: StoreError| {
        assert!(
            matches!(error, StoreError::NotFound { noun: "chat", .. }),
            "{error}"
        );
    };
    let user = Uuid::now_v7();
    not_found(chats::erase(&store, user, erased.id).await.unwrap_err());
    chats::erase(&store, OWNER, erased.id).await.unwrap();
    not_found(chats::get(&store, OWNER, erased.id).await.unwrap_err());
    not_found(chats::restore(&store, OWNER, erased.id).await.unwrap_err());
    not_found(chats::erase(&store, OWNER, erased.id).await.unwrap_err());

    let restored = messages::restore(&store, OWNER, other.id, &[message.id])
        .await
        .unwrap();
    assert_eq!(restored, [message]);
    chats::restore(&store, OWNER, deleted.id).await.unwrap();
    // One that is deleted already.
    chats::delete(&store, OWNER, deleted.id).await.unwrap();
    chats::erase(&store, OWNER, deleted.id).await.unwrap();
    not_found(chats::restore(&store, OWNER, deleted.id).await.unwrap_err());
}

pub async fn temporary_chats_are_in_no_list_and_no_search(store: Store) {
    let temporary = chats::create_temporary(&store, OWNER, titled("temporary"))
        .await
        .unwrap();
    assert!(temporary.is_temporary);
    say(&store, temporary.id, None, "secret words").await;
    chat(&store, "other").await;
    let renamed = chats::update(&store, OWNER, temporary.id, titled("secret"))
        .await
        .unwrap();
    assert!(renamed.is_temporary);
    assert_eq!(titles(&store, &ChatFilter::default()).await, ["other"]);
    let search = ChatFilter {
        search: Some("secret".to_owned()),
        ..ChatFilter::default()
    };
    assert!(titles(&store, &search).await.is_empty());
    let read = chats::get(&store, OWNER, temporary.id).await.unwrap();
    assert_eq!(read.message_count, 1);
    let first = read.leaf_id.unwrap();
    let copy = chats::fork(&store, OWNER, temporary.id, first)
        .await
        .unwrap();
    assert!(copy.is_temporary);
    assert!(titles(&store, &search).await.is_empty());
}

use crate::support::{chat, say};
use mlxm_store::chats::{self, ChatConfig, ChatFilter, ListedChat};
use mlxm_store::messages::{self, MessageBody, NewMessage, Part, Role};
use mlxm_store::{OWNER, Store, attachments};

async fn search(store: &Store, text: &str) -> Vec<ListedChat> {
    let filter = ChatFilter {
        search: Some(text.to_owned()),
        ..ChatFilter::default()
    };
    chats::list(store, OWNER, &filter).await.unwrap()
}

async fn titles(store: &Store, text: &str) -> Vec<String> {
    let found = search(store, text).await;
    found
        .into_iter()
        .map(|listed| listed.chat.config.title)
        .collect()
}

/// The excerpts, with brackets around what matches.
async fn excerpts(store: &Store, text: &str) -> Vec<Option<String>> {
    let found = search(store, text).await;
    found
        .into_iter()
        .map(|listed| {
            let parts = listed.found?.parts.into_iter().map(|part| {
                if part.is_match {
                    format!("[{}]", part.text)
                } else {
                    part.text
                }
            });
            Some(parts.collect())
        })
        .collect()
}

pub async fn words_are_found_in_titles_and_messages(store: Store) {
    let rust = chat(&store, "Rust macros").await;
    say(&store, rust.id, None, "How do I match an identifier?").await;
    let tests = chat(&store, "Flaky tests").await;
    let first = say(
        &store,
        tests.id,
        None,
        "It fails on CI only, with retry.rs:\n    macro_rules! retry",
    )
    .await;
    say(&store, tests.id, Some(first.id), "Déjà vu").await;

    assert_eq!(
        titles(&store, "macro").await,
        ["Flaky tests", "Rust macros"]
    );
    assert_eq!(titles(&store, "macros").await, ["Rust macros"]);
    assert_eq!(
        titles(&store, "macro ").await,
        ["Flaky tests"],
        "the word is complete"
    );
    assert_eq!(
        titles(&store, "RETRY fails").await,
        ["Flaky tests"],
        "in any order"
    );
    assert_eq!(titles(&store, "deja").await, ["Flaky tests"]);
    assert_eq!(titles(&store, "rules retry").await, ["Flaky tests"]);
    assert_eq!(titles(&store, "ident").await, ["Rust macros"]);
    assert!(
        titles(&store, "dentifier").await.is_empty(),
        "words begin with it"
    );
    assert!(
        titles(&store, "macros identifier").await.is_empty(),
        "all words are in the title, or in one message"
    );
    assert!(titles(&store, "fails deja").await.is_empty());

    let file = attachments::put(&store, OWNER, "parser.py", "text/x-python", Vec::new())
        .await
        .unwrap();
    let new = NewMessage {
        parent_id: None,
        role: Role::User,
        body: MessageBody {
            content: vec![Part::Attachment {
                hash: file.hash,
                name: file.name,
                media_type: file.media_type,
                size_bytes: file.size_bytes,
            }],
            ..MessageBody::default()
        },
        model: None,
    };
    messages::insert(&store, OWNER, rust.id, new).await.unwrap();
    assert_eq!(titles(&store, "parser.py").await, ["Rust macros"]);
    let pinned = ChatFilter {
        search: Some("macro".to_owned()),
        is_pinned: Some(true),
        ..ChatFilter::default()
    };
    assert!(
        chats::list(&store, OWNER, &pinned)
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn excerpts_mark_the_newest_message(store: Store) {
    let only_title = chat(&store, "needle").await;
    say(&store, only_title.id, None, "hay").await;
    let twice = chat(&store, "other").await;
    let first = say(&store, twice.id, None, "an old needle").await;
    let second = say(
        &store,
        twice.id,
        Some(first.id),
        "a  new\nneedle, and Needles",
    )
    .await;
    say(&store, twice.id, Some(second.id), "hay").await;
    assert_eq!(
        excerpts(&store, "needle").await,
        [Some("a new [needle], and [Needles]".to_owned()), None]
    );
    let found = search(&store, "needle").await;
    assert_eq!(found[0].found.as_ref().unwrap().message_id, second.id);
    let all = chats::list(&store, OWNER, &ChatFilter::default())
        .await
        .unwrap();
    assert!(all.iter().all(|listed| listed.found.is_none()));
}

pub async fn changed_and_deleted_texts_are_not_found(store: Store) {
    let edited = chat(&store, "before").await;
    let config = ChatConfig {
        title: "after".to_owned(),
        ..ChatConfig::default()
    };
    chats::update(&store, OWNER, edited.id, config)
        .await
        .unwrap();
    assert!(titles(&store, "before").await.is_empty());
    assert_eq!(titles(&store, "after").await, ["after"]);

    let message = say(&store, edited.id, None, "needle").await;
    let deleted = messages::delete(&store, OWNER, edited.id, message.id)
        .await
        .unwrap();
    assert!(titles(&store, "needle").await.is_empty());
    messages::restore(&store, OWNER, edited.id, &deleted.ids)
        .await
        .unwrap();
    assert_eq!(titles(&store, "needle").await, ["after"]);
    chats::delete(&store, OWNER, edited.id).await.unwrap();
    assert!(titles(&store, "needle").await.is_empty());
    assert!(titles(&store, "after").await.is_empty());
    let among_deleted = ChatFilter {
        search: Some("needle".to_owned()),
        is_deleted: true,
        ..ChatFilter::default()
    };
    let found = chats::list(&store, OWNER, &among_deleted).await.unwrap();
    assert_eq!(found.len(), 1);
    chats::restore(&store, OWNER, edited.id).await.unwrap();
    assert_eq!(titles(&store, "needle").await, ["after"]);
}

pub async fn every_script_is_found(store: Store) {
    for (title, searches) in [
        ("日本語の検索", vec!["日本語", "検索", "本語の", "検"]),
        ("ค้นหาข้อความ", vec!["ข้อความ", "ค้น"]),
        ("हिन्दी भाषा", vec!["हिन्दी", "भाषा", "हिन"]),
        ("한국어 검색", vec!["한국어", "검색", "한국"]),
        ("Ελληνικά", vec!["ελλ", "ΕΛΛΗΝΙΚΑ", "ελληνικά"]),
        ("Straße naïve İstanbul", vec!["straße", "naive", "istanbul"]),
        ("ｆｕｌｌ ｗｉｄｔｈ", vec!["full", "width"]),
        ("v1.2.3 issue #4711", vec!["4711", "v1.2", "issue #47"]),
    ] {
        let chat = chat(&store, title).await;
        for text in searches {
            assert_eq!(titles(&store, text).await, [title], "{text}");
        }
        chats::delete(&store, OWNER, chat.id).await.unwrap();
    }
    chat(&store, "語 日本").await;
    assert!(titles(&store, "日本語").await.is_empty(), "not in a row");
}

/// Syntax of FTS5 and of `tsquery` has no meaning, and long texts are stored.
pub async fn queries_of_any_text_are_accepted(store: Store) {
    let chat = chat(&store, "a AND b").await;
    let long = (0..200_000)
        .map(|number| format!("word{number} "))
        .collect::<Vec<_>>()
        .concat();
    say(&store, chat.id, None, &long).await;
    say(&store, chat.id, None, &"x".repeat(3_000_000)).await;
    assert_eq!(titles(&store, "and").await, ["a AND b"]);
    assert_eq!(titles(&store, "word0").await.len(), 1);
    for text in [
        "\"",
        "'",
        "*",
        "a*",
        "NEAR(a b)",
        "a OR c",
        "NOT a",
        "title:a",
        "a:*",
        "a & | !b",
        "-a",
        "\\",
        "\0",
        "'); DROP TABLE chats; --",
        "{{a}}",
        "👩‍💻",
        "",
        " ",
    ] {
        search(&store, text).await;
    }
    assert!(titles(&store, "").await.is_empty());
    assert!(titles(&store, "…").await.is_empty());
    assert!(titles(&store, "a OR c").await.is_empty(), "a word");
    assert_eq!(titles(&store, &"x".repeat(100)).await, ["a AND b"]);
    let many = (0..2_000)
        .map(|number| format!("word{number} "))
        .collect::<Vec<_>>()
        .concat();
    search(&store, &many).await;
}

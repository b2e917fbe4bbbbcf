//! Chats without their messages.

use mlxm_store::Uuid;
use reqwest::Method;
use serde_json::{Value, json};

use super::{branches, create, detail, file, import, path, titles};
use crate::events::Events;
use crate::support::{TestGateway, problem};

async fn change(gateway: &TestGateway, chat: &Value, changes: Value) -> Value {
    let (status, changed) = gateway.send(Method::PATCH, &path(chat), changes).await;
    assert_eq!(status, 200, "{changed}");
    changed
}

#[tokio::test]
async fn chat_is_created_changed_deleted_and_restored() {
    let gateway = TestGateway::start().await;
    let chat = create(
        &gateway,
        json!({
            "title": "Sky", "model": "org/small", "protocol": "anthropic", "system_prompt": "Be brief.",
            "settings": {"temperature": 0.0, "thinking": "low"}, "tags": ["physics", "color"],
        }),
    )
    .await;
    assert_eq!(chat["tags"], json!(["color", "physics"]));
    assert_eq!(
        chat["settings"],
        json!({"temperature": 0.0, "thinking": "low"})
    );
    assert_eq!(chat["protocol"], "anthropic");
    let shown = detail(&gateway, &chat).await;
    assert_eq!(shown["chat"], chat);
    assert_eq!(shown["messages"], json!([]));
    assert!(shown["last_event_id"].is_string());

    let changed = change(&gateway, &chat, json!({"model": null, "is_pinned": true})).await;
    assert_eq!(changed["model"], Value::Null);
    assert_eq!(changed["is_pinned"], true);
    for field in [
        "title",
        "system_prompt",
        "settings",
        "tags",
        "updated_at_ms",
    ] {
        assert_eq!(changed[field], chat[field], "{field}");
    }

    assert_eq!(gateway.delete(&path(&chat)).await.0, 204);
    assert_eq!(
        problem(&gateway.get(&path(&chat)).await),
        (404, "chat_not_found", vec![])
    );
    assert_eq!(titles(&gateway, "").await, Vec::<String>::new());
    assert_eq!(titles(&gateway, "?deleted=true").await, ["Sky"]);
    let restore = format!("{}/restore", path(&chat));
    let (status, restored) = gateway.post(&restore, json!({})).await;
    assert_eq!(
        (status, &restored["title"]),
        (200, &json!("Sky")),
        "{restored}"
    );
    assert_eq!(titles(&gateway, "").await, ["Sky"]);
    let again = gateway.post(&restore, json!({})).await;
    assert_eq!(problem(&again).1, "chat_not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn changes_at_the_same_time_are_all_kept() {
    let gateway = TestGateway::start().await;
    let chat = create(&gateway, json!({})).await;
    for round in 0..10 {
        let title = format!("title {round}");
        let _ = tokio::join!(
            change(&gateway, &chat, json!({"title": title})),
            change(&gateway, &chat, json!({"tags": [format!("tag-{round}")]})),
            change(&gateway, &chat, json!({"is_pinned": round % 2 == 0})),
        );
        let now = detail(&gateway, &chat).await;
        assert_eq!(now["chat"]["title"], title);
        assert_eq!(now["chat"]["tags"], json!([format!("tag-{round}")]));
        assert_eq!(now["chat"]["is_pinned"], round % 2 == 0);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn title_comes_from_the_first_message_when_a_user_removes_it() {
    let gateway = TestGateway::start().await;
    let chat = import(&gateway, file("Imported", branches())).await;
    let changed = change(&gateway, &chat, json!({"title": null})).await;
    assert_eq!(changed["title"], "Why is the sky blue?");
    gateway.stop().await;
}

#[tokio::test]
async fn list_is_paged_with_pinned_chats_first() {
    let gateway = TestGateway::start().await;
    for number in 0..5 {
        let pinned = number == 1;
        let body = json!({"title": format!("chat {number}"), "is_pinned": pinned, "tags": [format!("t{}", number % 2)]});
        create(&gateway, body).await;
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let (status, page) = gateway.get(&format!("/api/chats?limit=2{after}")).await;
        assert_eq!(status, 200, "{page}");
        assert_eq!(page["tags"], json!(["t0", "t1"]));
        for entry in page["chats"].as_array().unwrap() {
            seen.push(entry["chat"]["title"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen[0], "chat 1");
    let mut sorted = seen.clone();
    sorted.sort();
    assert_eq!(sorted, ["chat 0", "chat 1", "chat 2", "chat 3", "chat 4"]);
    let mut odd = titles(&gateway, "?tag=t1").await;
    odd.sort();
    assert_eq!(odd, ["chat 1", "chat 3"]);
    assert_eq!(titles(&gateway, "?pinned=true").await, ["chat 1"]);
    assert_eq!(titles(&gateway, "?pinned=false").await.len(), 4);
    gateway.stop().await;
}

#[tokio::test]
async fn search_finds_words_in_titles_and_messages() {
    let gateway = TestGateway::start().await;
    import(&gateway, file("Physics", branches())).await;
    create(&gateway, json!({"title": "Flaky scatter plots"})).await;
    let (_, page) = gateway.get("/api/chats?q=scatter").await;
    let mut found = titles(&gateway, "?q=scatter").await;
    found.sort();
    assert_eq!(found, ["Flaky scatter plots", "Physics"], "{page}");
    let entries = page["chats"].as_array().unwrap();
    let physics = entries
        .iter()
        .find(|entry| entry["chat"]["title"] == "Physics")
        .unwrap();
    let parts = physics["found"]["parts"].as_array().unwrap();
    let matched = parts.iter().find(|part| part["is_match"] == true).unwrap();
    assert!(
        matched["text"].as_str().unwrap().starts_with("scatter"),
        "{physics}"
    );
    assert_eq!(
        titles(&gateway, "?q=scatter%20sky").await,
        Vec::<String>::new()
    );
    // Operators of the databases are words.
    for query in ["?q=%22", "?q=a%20AND", "?q=*", "?q=(", "?q=%27%3B--"] {
        titles(&gateway, query).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn chats_of_a_server_have_its_model_or_profiles() {
    let gateway = TestGateway::start().await;
    let profile = json!({"name": "coder", "model": "org/small"});
    assert_eq!(gateway.post("/api/profiles", profile).await.0, 201);
    for (title, model) in [("a", "org/small"), ("b", "coder"), ("c", "org/other")] {
        create(&gateway, json!({"title": title, "model": model})).await;
    }
    let (status, server) = gateway
        .post("/api/servers", json!({"model": "org/small"}))
        .await;
    assert_eq!(status, 202, "{server}");
    let server = gateway
        .wait_for("/api/servers", |list| {
            list["servers"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
    let mut found = titles(&gateway, &format!("?server={server}")).await;
    found.sort();
    assert_eq!(found, ["a", "b"]);
    assert_eq!(titles(&gateway, "?model=coder").await, ["b"]);
    let unknown = gateway
        .get(&format!("/api/chats?server={}", Uuid::now_v7()))
        .await;
    assert_eq!(problem(&unknown).1, "server_not_found");
    gateway.stop().await;
}

#[tokio::test]
async fn invalid_fields_are_named() {
    let gateway = TestGateway::start().await;
    for (body, fields) in [
        (json!({"titel": "a"}), vec!["titel"]),
        (
            json!({"title": "a".repeat(201), "tags": ["ok", " "]}),
            vec!["title", "tags[1]"],
        ),
        (json!({"settings": {"top_p": 2.0}}), vec!["settings.top_p"]),
        (
            json!({"settings": {"system_prompt": "x"}}),
            vec!["settings.system_prompt"],
        ),
        (json!({"protocol": "grpc"}), vec!["protocol"]),
        (json!({"model": " "}), vec!["model"]),
    ] {
        let response = gateway.post("/api/chats", body.clone()).await;
        assert_eq!(
            problem(&response),
            (400, "invalid_request", fields),
            "{body} {}",
            response.1
        );
    }
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?after=x", "after"),
        ("?serv=1", "serv"),
        ("?tag=a%00", "tag"),
        ("?model=%00", "model"),
        (
            "?model=a&server=00000000-0000-0000-0000-000000000001",
            "model",
        ),
    ] {
        let response = gateway.get(&format!("/api/chats{query}")).await;
        assert_eq!(problem(&response).2, [field], "{query}");
    }
    let unknown = json!({"persona_id": Uuid::now_v7()});
    let response = gateway.post("/api/chats", unknown).await;
    assert_eq!(problem(&response).1, "persona_not_found");
    for path in ["/api/chats/x", &format!("/api/chats/{}", Uuid::now_v7())] {
        assert_eq!(problem(&gateway.get(path).await).1, "chat_not_found");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn readers_of_lists_and_of_the_chat_see_changes() {
    let gateway = TestGateway::start().await;
    let mut lists = Events::open(&gateway, "/api/events?topics=chats", None).await;
    let chat = create(&gateway, json!({"title": "a"})).await;
    let (_, event) = lists.next().await.unwrap();
    assert_eq!(event["event"]["type"], "changed");
    assert_eq!(event["event"]["chat"], chat);
    let topic = format!("/api/events?topics=chat:{}", chat["id"].as_str().unwrap());
    let mut thread = Events::open(&gateway, &topic, None).await;
    let changed = change(&gateway, &chat, json!({"title": "b"})).await;
    for events in [&mut lists, &mut thread] {
        let (_, event) = events.next().await.unwrap();
        assert_eq!(event["event"]["chat"]["title"], "b", "{changed}");
    }
    gateway.delete(&path(&chat)).await;
    let (_, event) = lists.next().await.unwrap();
    assert_eq!(event["event"], json!({"type": "removed", "id": chat["id"]}));
    let (_, event) = thread.next().await.unwrap();
    assert_eq!(event["event"], json!({"type": "deleted", "id": chat["id"]}));
    let stopping = tokio::spawn(gateway.stop());
    assert_eq!(lists.next().await, None);
    stopping.await.unwrap();
}

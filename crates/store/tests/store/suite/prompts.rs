use mlxm_store::prompts::{self, PromptConfig};
use mlxm_store::{OWNER, Store, StoreError, Uuid};

fn prompt(name: &str, text: &str) -> PromptConfig {
    PromptConfig {
        name: name.to_owned(),
        description: String::new(),
        text: text.to_owned(),
    }
}

pub async fn a_prompt_is_created_changed_and_deleted(store: Store) {
    let config = PromptConfig {
        description: "For reviews".to_owned(),
        ..prompt("review-2_ü", "Review {{code}}\nin {{language}}")
    };
    let created = prompts::create(&store, OWNER, config.clone())
        .await
        .unwrap();
    assert_eq!(created.config, config);
    assert_eq!(
        prompts::get(&store, OWNER, created.id).await.unwrap(),
        created
    );
    let other = prompts::create(&store, OWNER, prompt("explain", ""))
        .await
        .unwrap();
    assert_eq!(
        prompts::list(&store, OWNER).await.unwrap(),
        [other, created.clone()]
    );
    let changed = prompts::update(&store, OWNER, created.id, prompt("review", "new"))
        .await
        .unwrap();
    assert_eq!(changed.created_at_ms, created.created_at_ms);
    assert_eq!(
        prompts::get(&store, OWNER, created.id).await.unwrap(),
        changed
    );

    let not_found = |error: StoreError| {
        assert!(
            matches!(error, StoreError::NotFound { noun: "prompt", .. }),
            "{error}"
        );
    };
    let user = Uuid::now_v7();
    assert!(prompts::list(&store, user).await.unwrap().is_empty());
    not_found(prompts::get(&store, user, created.id).await.unwrap_err());
    let error = prompts::update(&store, user, created.id, prompt("x", "")).await;
    not_found(error.unwrap_err());
    not_found(prompts::delete(&store, user, created.id).await.unwrap_err());
    prompts::delete(&store, OWNER, created.id).await.unwrap();
    not_found(prompts::get(&store, OWNER, created.id).await.unwrap_err());
}

pub async fn bad_prompts_are_rejected(store: Store) {
    for config in [
        prompt("", "text"),
        prompt("two words", "text"),
        prompt("a/b", "text"),
        prompt("{{a}}", "text"),
        prompt("a", "\0"),
    ] {
        let error = prompts::create(&store, OWNER, config).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
    prompts::create(&store, OWNER, prompt("a", "text"))
        .await
        .unwrap();
    let error = prompts::create(&store, OWNER, prompt("a", "other"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Conflict {
                noun: "prompt",
                field: "name",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(prompts::list(&store, OWNER).await.unwrap().len(), 1);
}

pub async fn prompts_are_listed_by_the_bytes_of_their_names(store: Store) {
    for name in ["a", "é", "_c", "B"] {
        prompts::create(&store, OWNER, prompt(name, "text"))
            .await
            .unwrap();
    }
    let prompts = prompts::list(&store, OWNER).await.unwrap();
    let names: Vec<&str> = prompts
        .iter()
        .map(|prompt| prompt.config.name.as_str())
        .collect();
    assert_eq!(names, ["B", "_c", "a", "é"]);
}

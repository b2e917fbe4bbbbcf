use mlxm_store::{Store, StoreError, aliases};

pub async fn an_alias_is_created_changed_and_deleted(store: Store) {
    let created = aliases::set(&store, "claude-haiku-*", "small")
        .await
        .unwrap();
    let changed = aliases::set(&store, "claude-haiku-*", "large")
        .await
        .unwrap();
    assert_eq!(changed.id, created.id);
    assert_eq!(changed.created_at_ms, created.created_at_ms);
    assert_eq!(changed.target, "large");
    assert_eq!(aliases::list(&store).await.unwrap(), [changed]);

    aliases::delete(&store, "claude-haiku-*").await.unwrap();
    assert!(aliases::list(&store).await.unwrap().is_empty());
    let error = aliases::delete(&store, "claude-haiku-*").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no alias `claude-haiku-*`");
}

pub async fn bad_aliases_are_rejected(store: Store) {
    for (name, target) in [("", "a"), ("a", ""), (" a", "b"), ("a\0", "b")] {
        let error = aliases::set(&store, name, target).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
    let error = aliases::delete(&store, "a\0").await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    assert!(aliases::list(&store).await.unwrap().is_empty());
}

pub async fn aliases_are_listed_by_the_bytes_of_their_names(store: Store) {
    for name in ["a", "é", "_c", "B"] {
        aliases::set(&store, name, "target").await.unwrap();
    }
    let aliases = aliases::list(&store).await.unwrap();
    let names: Vec<&str> = aliases.iter().map(|alias| alias.name.as_str()).collect();
    assert_eq!(names, ["B", "_c", "a", "é"]);
}

use mlxm_store::settings::{self, AUDIT_RETENTION_DAYS, Settings, Source};
use mlxm_store::{Store, StoreError, secrets};
use serde_json::{Value, json};

pub async fn settings_are_set_replaced_and_unset(store: Store) {
    let values = [
        json!(5),
        json!("5"),
        json!(true),
        json!(null),
        json!(["a", {"b": "\0"}]),
        json!(1.5),
    ];
    for value in values {
        settings::set(&store, "key", &value).await.unwrap();
        let listed = settings::list(&store).await.unwrap();
        assert_eq!(Vec::from_iter(listed), [("key".to_owned(), value)]);
    }
    assert!(settings::unset(&store, "key").await.unwrap());
    assert!(!settings::unset(&store, "key").await.unwrap());
    assert!(settings::list(&store).await.unwrap().is_empty());
    for error in [
        settings::set(&store, "", &Value::Null).await.unwrap_err(),
        settings::unset(&store, "a\0").await.unwrap_err(),
        settings::secret(&store, "a\0").await.unwrap_err(),
    ] {
        assert!(
            matches!(error, StoreError::Invalid { field: "key", .. }),
            "{error}"
        );
    }
}

pub async fn secrets_are_not_listed(store: Store) {
    assert!(
        settings::secret(&store, "hub.token")
            .await
            .unwrap()
            .is_none()
    );
    settings::set_secret(&store, "hub.token", &"hf_token".into())
        .await
        .unwrap();
    assert!(settings::list(&store).await.unwrap().is_empty());
    let secret = settings::secret(&store, "hub.token")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(secret.expose(), b"hf_token");
    // A plain value replaces the secret, and the other way around.
    settings::set(&store, "hub.token", &json!("plain"))
        .await
        .unwrap();
    assert!(
        settings::secret(&store, "hub.token")
            .await
            .unwrap()
            .is_none()
    );
    settings::set_secret(&store, "hub.token", &"".into())
        .await
        .unwrap();
    assert!(settings::list(&store).await.unwrap().is_empty());
    assert!(settings::unset(&store, "hub.token").await.unwrap());
}

pub async fn rotation_makes_every_secret_readable_with_the_new_key(store: Store) {
    for index in 0..3 {
        let secret = format!("secret {index}");
        settings::set_secret(&store, &format!("key {index}"), &secret.as_str().into())
            .await
            .unwrap();
    }
    for _ in 0..2 {
        let rotated = secrets::rotate(&store).await.unwrap();
        assert_eq!((rotated.encrypted, rotated.unreadable.len()), (3, 0));
        for index in 0..3 {
            let secret = settings::secret(&store, &format!("key {index}"))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(secret.expose(), format!("secret {index}").as_bytes());
        }
    }
}

pub async fn stored_settings_resolve_with_their_source(store: Store) {
    let resolve = async || {
        let settings = Settings {
            database: settings::list(&store).await.unwrap(),
            ..Settings::default()
        };
        settings.get(&AUDIT_RETENTION_DAYS)
    };
    let resolved = resolve().await.unwrap();
    assert_eq!((resolved.value, resolved.source), (90, Source::Default));
    settings::set(&store, AUDIT_RETENTION_DAYS.key, &json!(30))
        .await
        .unwrap();
    let resolved = resolve().await.unwrap();
    assert_eq!((resolved.value, resolved.source), (30, Source::Database));
    settings::set(&store, AUDIT_RETENTION_DAYS.key, &json!(0))
        .await
        .unwrap();
    let message = resolve().await.unwrap_err().to_string();
    assert!(
        message.contains("a number of days from 1 to 3650"),
        "{message}"
    );
}

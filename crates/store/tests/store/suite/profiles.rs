use mlxm_store::profiles::{self, LoadSettings, ProfileConfig, RequestSettings, Thinking};
use mlxm_store::{Store, StoreError, Uuid};

fn named(name: &str) -> ProfileConfig {
    ProfileConfig {
        name: name.to_owned(),
        model: "mlx-community/Qwen3-4B-4bit".to_owned(),
        ..ProfileConfig::default()
    }
}

fn full() -> ProfileConfig {
    ProfileConfig {
        name: "coding".to_owned(),
        description: "for the editor\nsecond line".to_owned(),
        model: "mlx-community/Qwen3-4B-4bit".to_owned(),
        host: Some("0.0.0.0".to_owned()),
        port: Some(u16::MAX),
        ttl_seconds: Some(-1),
        queue_timeout_seconds: Some(300),
        queue_size: Some(16),
        is_pinned: true,
        auto_start: true,
        service_installed: true,
        log_level: Some("debug".to_owned()),
        color: Some(3),
        load: LoadSettings {
            context_length: Some(32768),
            max_sequences: Some(8),
            kv_pool_tokens: Some(65536),
            max_batch_tokens: Some(512),
            kv_cache_dtype: Some("int8".to_owned()),
            activation_dtype: Some("f32".to_owned()),
            device: Some("cpu".to_owned()),
            draft_model: Some("draft".to_owned()),
            adapters: vec!["b".to_owned(), "a".to_owned()],
            chat_template_file: Some("template.jinja".to_owned()),
            tool_call_parser: Some("hermes".to_owned()),
            reasoning_parser: Some("qwen3".to_owned()),
        },
        request: RequestSettings {
            temperature: Some(0.7),
            top_p: Some(0.95),
            top_k: Some(20),
            min_p: Some(0.05),
            repetition_penalty: Some(1.1),
            repetition_context_size: Some(64),
            presence_penalty: Some(-2.0),
            frequency_penalty: Some(2.0),
            logit_bias: [("42".to_owned(), -100.0)].into(),
            seed: Some(i64::MIN),
            stop: vec!["</s>".to_owned()],
            max_tokens: Some(1024),
            system_prompt: Some("You are\0 \u{1f980}".to_owned()),
            thinking: Some(Thinking::Effort("low".to_owned())),
            tool_choice: Some("auto".to_owned()),
        },
    }
}

pub async fn a_profile_keeps_every_field(store: Store) {
    let created = profiles::create(&store, full()).await.unwrap();
    assert_eq!(created.config, full());
    assert_eq!(profiles::get(&store, created.id).await.unwrap(), created);
    assert_eq!(
        profiles::find(&store, "coding").await.unwrap().unwrap(),
        created
    );

    let updated = profiles::update(&store, created.id, named("plain"))
        .await
        .unwrap();
    let expected = ProfileConfig {
        color: Some(3),
        ..named("plain")
    };
    assert_eq!(
        updated.config, expected,
        "optional fields are cleared, but the color is kept"
    );
    assert_eq!(updated.created_at_ms, created.created_at_ms);
    assert_eq!(profiles::list(&store).await.unwrap(), [updated]);
    assert!(profiles::find(&store, "coding").await.unwrap().is_none());

    profiles::delete(&store, created.id).await.unwrap();
    assert!(profiles::list(&store).await.unwrap().is_empty());
}

pub async fn names_and_ports_are_unique(store: Store) {
    let with_port = |name: &str| ProfileConfig {
        port: Some(8081),
        ..named(name)
    };
    profiles::create(&store, with_port("one")).await.unwrap();
    // Any number of profiles have no port.
    profiles::create(&store, named("two")).await.unwrap();
    let third = profiles::create(&store, named("three")).await.unwrap();

    let errors = [
        profiles::create(&store, named("one")).await.unwrap_err(),
        profiles::update(&store, third.id, named("one"))
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(
            matches!(&error, StoreError::Conflict { field: "name", value, .. } if value == "one"),
            "{error}"
        );
    }
    let errors = [
        profiles::create(&store, with_port("four"))
            .await
            .unwrap_err(),
        profiles::update(&store, third.id, with_port("three"))
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert!(
            matches!(&error, StoreError::Conflict { field: "port", value, .. } if value == "8081"),
            "{error}"
        );
    }
    assert_eq!(profiles::list(&store).await.unwrap().len(), 3);
    assert_eq!(profiles::get(&store, third.id).await.unwrap(), third);
    // A profile may keep its own name and port.
    profiles::update(&store, third.id, named("three"))
        .await
        .unwrap();
}

pub async fn bad_profiles_are_rejected(store: Store) {
    let bad = [
        ("name", named("")),
        ("name", named("a\0b")),
        (
            "model",
            ProfileConfig {
                model: String::new(),
                ..named("a")
            },
        ),
        (
            "port",
            ProfileConfig {
                port: Some(0),
                ..named("a")
            },
        ),
        (
            "ttl_seconds",
            ProfileConfig {
                ttl_seconds: Some(-2),
                ..named("a")
            },
        ),
        (
            "color",
            ProfileConfig {
                color: Some(9),
                ..named("a")
            },
        ),
        (
            "color",
            ProfileConfig {
                color: Some(0),
                ..named("a")
            },
        ),
        (
            "description",
            ProfileConfig {
                description: "\0".to_owned(),
                ..named("a")
            },
        ),
        (
            "queue_size",
            ProfileConfig {
                queue_size: Some(u64::MAX),
                ..named("a")
            },
        ),
    ];
    for (expected, config) in bad {
        let error = profiles::create(&store, config).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Invalid { field, .. } if *field == expected),
            "{expected}: {error}"
        );
    }
    assert!(profiles::list(&store).await.unwrap().is_empty());
}

pub async fn a_new_profile_has_the_color_that_is_used_least(store: Store) {
    let create = async |name: &str, color: Option<u8>| {
        let config = ProfileConfig {
            color,
            ..named(name)
        };
        profiles::create(&store, config).await.unwrap()
    };
    let first = create("first", None).await;
    assert_eq!(first.config.color, Some(1));
    assert_eq!(create("chosen", Some(3)).await.config.color, Some(3));
    let mut colors = Vec::new();
    for index in 0..7 {
        let profile = create(&index.to_string(), None).await;
        colors.extend(profile.config.color);
    }
    assert_eq!(colors, [2, 4, 5, 6, 7, 8, 1]);
    profiles::delete(&store, first.id).await.unwrap();
    // Two profiles had the first color.
    assert_eq!(create("again", None).await.config.color, Some(1));
    let changed = ProfileConfig {
        color: Some(8),
        ..named("changed")
    };
    let profile = create("other", None).await;
    let changed = profiles::update(&store, profile.id, changed).await.unwrap();
    assert_eq!(profiles::get(&store, changed.id).await.unwrap(), changed);
    assert_eq!(changed.config.color, Some(8));
}

pub async fn missing_profiles_are_reported(store: Store) {
    let id = Uuid::now_v7();
    let errors = [
        profiles::get(&store, id).await.unwrap_err(),
        profiles::update(&store, id, named("a")).await.unwrap_err(),
        profiles::delete(&store, id).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), format!("there is no profile `{id}`"));
    }
    let error = profiles::find(&store, "a\0").await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
}

pub async fn text_of_any_language_is_kept(store: Store) {
    for name in ["日本語", "emoji 🦀", "ü'\"\\;--", "%_*"] {
        let created = profiles::create(&store, named(name)).await.unwrap();
        assert_eq!(
            profiles::find(&store, name).await.unwrap().unwrap(),
            created
        );
    }
}

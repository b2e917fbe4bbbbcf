use mlxm_store::personas::{self, PersonaConfig};
use mlxm_store::profiles::RequestSettings;
use mlxm_store::{OWNER, Store, StoreError, Uuid};

fn named(name: &str) -> PersonaConfig {
    PersonaConfig {
        name: name.to_owned(),
        ..PersonaConfig::default()
    }
}

async fn names(store: &Store, user_id: Uuid) -> Vec<String> {
    let personas = personas::list(store, user_id).await.unwrap();
    personas
        .into_iter()
        .map(|persona| persona.config.name)
        .collect()
}

pub async fn three_personas_are_built_in(store: Store) {
    assert_eq!(names(&store, OWNER).await, ["Analyst", "Coder", "Writer"]);
    let personas = personas::list(&store, OWNER).await.unwrap();
    for persona in &personas {
        assert!(persona.is_built_in);
        assert!(!persona.config.description.is_empty());
        assert!(persona.config.system_prompt.len() > 100);
        assert!(!persona.config.system_prompt.contains("  "), "{persona:?}");
        assert_eq!(persona.config.settings, RequestSettings::default());
    }
    personas::delete(&store, OWNER, personas[0].id)
        .await
        .unwrap();
    let changed = personas::update(&store, OWNER, personas[1].id, named("Programmer"))
        .await
        .unwrap();
    assert!(changed.is_built_in);
    assert_eq!(names(&store, OWNER).await, ["Programmer", "Writer"]);
}

pub async fn a_persona_is_created_changed_and_deleted(store: Store) {
    let config = PersonaConfig {
        name: "Poet".to_owned(),
        description: "Écrit des vers".to_owned(),
        system_prompt: "Rhyme.\nAlways.".to_owned(),
        settings: RequestSettings {
            temperature: Some(1.5),
            ..RequestSettings::default()
        },
    };
    let user = Uuid::now_v7();
    let created = personas::create(&store, user, config.clone())
        .await
        .unwrap();
    assert_eq!(created.config, config);
    assert!(!created.is_built_in);
    assert_eq!(
        personas::get(&store, user, created.id).await.unwrap(),
        created
    );
    assert_eq!(
        personas::list(&store, user).await.unwrap(),
        std::slice::from_ref(&created)
    );
    let changed = personas::update(&store, user, created.id, named("Bard"))
        .await
        .unwrap();
    assert_eq!(changed.created_at_ms, created.created_at_ms);
    assert_eq!(
        personas::get(&store, user, created.id).await.unwrap(),
        changed
    );

    let not_found = |error: StoreError| {
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
    };
    not_found(personas::get(&store, OWNER, created.id).await.unwrap_err());
    let error = personas::update(&store, OWNER, created.id, named("x")).await;
    not_found(error.unwrap_err());
    not_found(
        personas::delete(&store, OWNER, created.id)
            .await
            .unwrap_err(),
    );
    personas::delete(&store, user, created.id).await.unwrap();
    not_found(
        personas::delete(&store, user, created.id)
            .await
            .unwrap_err(),
    );
}

pub async fn bad_personas_are_rejected(store: Store) {
    let error = personas::create(&store, OWNER, named("Coder"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a persona with the name `Coder` exists already: choose another name"
    );
    // Another user may have the name.
    let user = Uuid::now_v7();
    personas::create(&store, user, named("Coder"))
        .await
        .unwrap();
    let writer = personas::list(&store, OWNER).await.unwrap().remove(2);
    let error = personas::update(&store, OWNER, writer.id, named("Coder"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Conflict { field: "name", .. }),
        "{error}"
    );
    for config in [
        named(""),
        named(" a"),
        PersonaConfig {
            system_prompt: "\0".to_owned(),
            ..named("a")
        },
    ] {
        let error = personas::create(&store, OWNER, config).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
}

pub async fn personas_are_listed_by_the_bytes_of_their_names(store: Store) {
    let user = Uuid::now_v7();
    for name in ["a", "é", "_c", "B"] {
        personas::create(&store, user, named(name)).await.unwrap();
    }
    assert_eq!(names(&store, user).await, ["B", "_c", "a", "é"]);
}

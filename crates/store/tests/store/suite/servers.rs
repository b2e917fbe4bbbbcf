use crate::support::gateway;
use mlxm_store::profiles::{self, Profile, ProfileConfig};
use mlxm_store::servers::{self, NewServer, Server, ServerState, StateDetail};
use mlxm_store::{Store, StoreError, Uuid, gateways};

async fn profile(store: &Store) -> Profile {
    let config = ProfileConfig {
        name: "profile".to_owned(),
        model: "model".to_owned(),
        ..ProfileConfig::default()
    };
    profiles::create(store, config).await.unwrap()
}

fn started(gateway_id: Uuid, profile_id: Option<Uuid>) -> NewServer {
    NewServer {
        id: Uuid::now_v7(),
        gateway_id,
        profile_id,
        model: "model".to_owned(),
        pid: u32::MAX,
        process_started_at_ms: 1_764_000_000_123,
        launch: Some(serde_json::json!({"program": "/usr/bin/mlxm", "ttl": null})),
    }
}

pub async fn a_server_keeps_every_field(store: Store) {
    let gateway = gateway(&store).await;
    let profile = profile(&store).await;
    let created = servers::create(&store, started(gateway.id, Some(profile.id)))
        .await
        .unwrap();
    assert_eq!(created.state, ServerState::Starting);
    assert_eq!(
        servers::list(&store, gateway.id).await.unwrap(),
        std::slice::from_ref(&created)
    );

    let failed = Server {
        port: Some(u16::MAX),
        state: ServerState::Failed,
        state_detail: Some(StateDetail {
            code: Some("killed_externally".to_owned()),
            message: Some("killed by the system\0".to_owned()),
            advice: Some("use a smaller context".to_owned()),
            exit_status: None,
            signal: Some(9),
            log: vec!["line 1".to_owned(), "line 2".to_owned()],
        }),
        last_health_at_ms: Some(5),
        restarts: 3,
        launch: None,
        ..created.clone()
    };
    servers::update(&store, &failed).await.unwrap();
    assert_eq!(servers::list(&store, gateway.id).await.unwrap(), [failed]);
    servers::update(&store, &created).await.unwrap();
    assert_eq!(
        servers::list(&store, gateway.id).await.unwrap(),
        std::slice::from_ref(&created)
    );

    assert!(servers::delete(&store, created.id).await.unwrap());
    assert!(!servers::delete(&store, created.id).await.unwrap());
    let error = servers::update(&store, &created).await.unwrap_err();
    assert!(
        matches!(error, StoreError::NotFound { noun: "server", .. }),
        "{error}"
    );
}

pub async fn servers_need_a_gateway_and_a_profile(store: Store) {
    let gateway = gateway(&store).await;
    let missing = Uuid::now_v7();
    for (gateway_id, profile_id) in [(missing, None), (gateway.id, Some(missing))] {
        let error = servers::create(&store, started(gateway_id, profile_id))
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::NotFound {
                    noun: "gateway",
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains(&missing.to_string()), "{error}");
    }
    assert!(servers::list(&store, gateway.id).await.unwrap().is_empty());
}

pub async fn a_server_outlives_its_profile(store: Store) {
    let gateway = gateway(&store).await;
    let profile = profile(&store).await;
    let created = servers::create(&store, started(gateway.id, Some(profile.id)))
        .await
        .unwrap();
    profiles::delete(&store, profile.id).await.unwrap();
    let expected = Server {
        profile_id: None,
        ..created
    };
    assert_eq!(servers::list(&store, gateway.id).await.unwrap(), [expected]);
}

pub async fn servers_are_deleted_with_their_gateway(store: Store) {
    let gateway = gateway(&store).await;
    servers::create(&store, started(gateway.id, None))
        .await
        .unwrap();
    gateways::delete(&store, gateway.id).await.unwrap();
    assert!(servers::list(&store, gateway.id).await.unwrap().is_empty());
}

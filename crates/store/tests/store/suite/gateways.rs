use crate::support::gateway;
use mlxm_store::gateways::{self, NewGateway};
use mlxm_store::{Store, StoreError, Uuid, downloads};

pub async fn a_gateway_keeps_its_id_and_its_rows_after_a_restart(store: Store) {
    let first = gateway(&store).await;
    downloads::enqueue(&store, first.id, "owner/name", "main", &[])
        .await
        .unwrap();
    let restarted = NewGateway {
        id: Some(first.id),
        host: "renamed".to_owned(),
        address: "http://127.0.0.1:9090".to_owned(),
        version: "0.2.0".to_owned(),
        pid: u32::MAX,
    };
    let second = gateways::register(&store, restarted).await.unwrap();
    assert_eq!(
        gateways::list(&store).await.unwrap(),
        std::slice::from_ref(&second)
    );
    assert_eq!((second.id, second.pid), (first.id, u32::MAX));
    assert_eq!(downloads::list(&store, first.id).await.unwrap().len(), 1);

    gateways::heartbeat(&store, first.id).await.unwrap();
    let alive = gateways::list(&store).await.unwrap().remove(0);
    assert!(alive.heartbeat_at_ms >= second.heartbeat_at_ms);
    gateways::delete(&store, first.id).await.unwrap();
    assert!(downloads::list(&store, first.id).await.unwrap().is_empty());
}

pub async fn a_heartbeat_needs_a_registered_gateway(store: Store) {
    let id = Uuid::now_v7();
    let error = gateways::heartbeat(&store, id).await.unwrap_err();
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
    let error = gateways::delete(&store, id).await.unwrap_err();
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
}

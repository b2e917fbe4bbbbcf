use mlxm_store::requests::{self, Request, RequestFilter, RequestTotals, TokenUsage};
use mlxm_store::{Store, StoreError, Uuid};
use std::num::NonZeroU64;

fn row(at_ms: i64) -> Request {
    Request {
        id: Uuid::now_v7(),
        gateway_id: Uuid::from_u128(1),
        request_id: "req-1".to_owned(),
        at_ms,
        endpoint: "/v1/chat/completions".to_owned(),
        model: "model".to_owned(),
        served_by: Some("local".to_owned()),
        status: 200,
        error_kind: None,
        finish_reason: Some("stop".to_owned()),
        usage: Some(TokenUsage {
            prompt_tokens: (1 << 53) + 1,
            cached_tokens: 3,
            completion_tokens: 5,
        }),
        queue_ms: Some(0),
        time_to_first_token_ms: Some(12),
        duration_ms: 34,
    }
}

async fn all(store: &Store) -> Vec<Request> {
    let filter = RequestFilter {
        limit: u64::from(u32::MAX),
        ..RequestFilter::default()
    };
    requests::list(store, &filter).await.unwrap()
}

pub async fn a_batch_of_any_size_is_stored_exactly(store: Store) {
    requests::insert(&store, &[]).await.unwrap();
    let mut rows: Vec<_> = (0..1203).map(row).collect();
    rows.push(Request {
        status: 499,
        served_by: None,
        error_kind: Some("client_disconnected".to_owned()),
        finish_reason: None,
        usage: None,
        queue_ms: None,
        time_to_first_token_ms: None,
        ..row(1203)
    });
    requests::insert(&store, &rows).await.unwrap();
    rows.reverse();
    assert_eq!(all(&store).await, rows);
}

pub async fn a_batch_is_stored_completely_or_not_at_all(store: Store) {
    let mut rows: Vec<_> = (0..600).map(row).collect();
    rows[599].id = rows[0].id;
    requests::insert(&store, &rows).await.unwrap_err();
    assert!(all(&store).await.is_empty());
    rows[599].id = Uuid::now_v7();
    rows[0].duration_ms = u64::MAX;
    let error = requests::insert(&store, &rows).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Invalid {
                field: "duration_ms",
                ..
            }
        ),
        "{error}"
    );
    assert!(all(&store).await.is_empty());
}

pub async fn text_of_clients_cannot_make_a_batch_fail(store: Store) {
    let models = [
        "a\0b".to_owned(),
        "€".repeat(100_000),
        "'; DROP TABLE requests; --".to_owned(),
    ];
    let rows: Vec<_> = models
        .iter()
        .map(|model| Request {
            model: model.clone(),
            request_id: model.clone(),
            error_kind: Some(model.clone()),
            ..row(0)
        })
        .collect();
    requests::insert(&store, &rows).await.unwrap();
    let mut stored: Vec<_> = all(&store).await.into_iter().map(|row| row.model).collect();
    stored.reverse();
    assert_eq!(stored[0], "a\u{fffd}b");
    assert_eq!(stored[1], "€".repeat(170));
    assert_eq!(stored[2], models[2]);
    // The full name finds the shortened one.
    let filter = RequestFilter {
        model: Some(models[1].clone()),
        ..RequestFilter::default()
    };
    assert_eq!(requests::list(&store, &filter).await.unwrap().len(), 1);
}

pub async fn filters_select_rows(store: Store) {
    let rows = [
        row(10),
        Request {
            status: 400,
            ..row(20)
        },
        Request {
            status: 500,
            model: "other".to_owned(),
            ..row(30)
        },
        Request {
            gateway_id: Uuid::from_u128(2),
            endpoint: "/v1/messages".to_owned(),
            ..row(40)
        },
    ];
    requests::insert(&store, &rows).await.unwrap();
    let everything = RequestFilter::default;
    let cases = [
        (everything(), vec![40, 30, 20, 10]),
        (
            RequestFilter {
                from_ms: Some(20),
                ..everything()
            },
            vec![40, 30, 20],
        ),
        (
            RequestFilter {
                until_ms: Some(20),
                ..everything()
            },
            vec![10],
        ),
        (
            RequestFilter {
                model: Some("other".to_owned()),
                ..everything()
            },
            vec![30],
        ),
        (
            RequestFilter {
                gateway_id: Some(Uuid::from_u128(2)),
                ..everything()
            },
            vec![40],
        ),
        (
            RequestFilter {
                endpoint: Some("/v1/messages".to_owned()),
                ..everything()
            },
            vec![40],
        ),
        (
            RequestFilter {
                min_status: Some(400),
                ..everything()
            },
            vec![30, 20],
        ),
        (
            RequestFilter {
                min_status: Some(400),
                from_ms: Some(25),
                ..everything()
            },
            vec![30],
        ),
        (
            RequestFilter {
                limit: 1,
                ..everything()
            },
            vec![40],
        ),
    ];
    for (filter, expected) in cases {
        let found = requests::list(&store, &filter).await.unwrap();
        let times: Vec<_> = found.into_iter().map(|row| row.at_ms).collect();
        assert_eq!(times, expected, "{filter:?}");
    }
}

pub async fn pages_contain_every_row_once(store: Store) {
    // Many rows of the same time.
    let mut rows: Vec<_> = (0..50).map(|index| row(index / 20)).collect();
    requests::insert(&store, &rows).await.unwrap();
    rows.reverse();
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let filter = RequestFilter {
            after,
            limit: 7,
            ..RequestFilter::default()
        };
        let page = requests::list(&store, &filter).await.unwrap();
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.position());
        pages.extend(page);
    }
    assert_eq!(pages, rows);
}

pub async fn retention_deletes_in_batches(store: Store) {
    let rows: Vec<_> = (0..100).map(row).collect();
    requests::insert(&store, &rows).await.unwrap();
    let batch = NonZeroU64::new(30).unwrap();
    assert_eq!(
        requests::delete_before(&store, 95, batch).await.unwrap(),
        95
    );
    let left: Vec<_> = all(&store).await.into_iter().map(|row| row.at_ms).collect();
    assert_eq!(left, [99, 98, 97, 96, 95]);
    assert_eq!(requests::delete_before(&store, 95, batch).await.unwrap(), 0);
}

pub async fn totals_are_exact_sums_of_the_selected_rows(store: Store) {
    let totals = async |filter: &RequestFilter| requests::totals(&store, filter).await.unwrap();
    assert_eq!(
        totals(&RequestFilter::default()).await,
        RequestTotals::default()
    );
    let mut rows: Vec<_> = (0..150).map(row).collect();
    rows.push(Request {
        status: 499,
        usage: None,
        ..row(150)
    });
    requests::insert(&store, &rows).await.unwrap();
    // More rows than the limit of the filter.
    let all = RequestTotals {
        requests: 151,
        errors: 1,
        usage: TokenUsage {
            prompt_tokens: 150 * ((1 << 53) + 1),
            cached_tokens: 150 * 3,
            completion_tokens: 150 * 5,
        },
        duration_ms: 151 * 34,
    };
    assert_eq!(totals(&RequestFilter::default()).await, all);
    let failed = RequestFilter {
        min_status: Some(400),
        ..RequestFilter::default()
    };
    let expected = RequestTotals {
        requests: 1,
        errors: 1,
        usage: TokenUsage::default(),
        duration_ms: 34,
    };
    assert_eq!(totals(&failed).await, expected);
}

pub async fn a_row_is_found_by_its_id(store: Store) {
    let rows = [row(1), row(2)];
    requests::insert(&store, &rows).await.unwrap();
    assert_eq!(requests::get(&store, rows[0].id).await.unwrap(), rows[0]);
    let error = requests::get(&store, Uuid::nil()).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::NotFound {
                noun: "request",
                ..
            }
        ),
        "{error}"
    );
}

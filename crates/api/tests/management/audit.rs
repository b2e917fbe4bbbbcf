//! `/api/audit`.

use mlxm_store::Uuid;
use mlxm_store::requests::{self, Request, TokenUsage};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestGateway, problem};

/// Rows that are older than the retention are deleted; this time is still to come.
pub const START_MS: i64 = 4_000_000_000_000;

/// A row of this time after [`START_MS`].
pub fn row(offset_ms: i64) -> Request {
    Request {
        id: Uuid::now_v7(),
        gateway_id: Uuid::from_u128(1),
        request_id: format!("req-{offset_ms}"),
        at_ms: START_MS + offset_ms,
        endpoint: "/v1/chat/completions".to_owned(),
        model: "org/small".to_owned(),
        served_by: Some("local".to_owned()),
        status: 200,
        error_kind: None,
        finish_reason: Some("stop".to_owned()),
        usage: Some(TokenUsage {
            prompt_tokens: 10,
            cached_tokens: 4,
            completion_tokens: 2,
        }),
        queue_ms: Some(1),
        time_to_first_token_ms: Some(20),
        duration_ms: 30,
    }
}

async fn with_rows(rows: &[Request]) -> TestGateway {
    let gateway = TestGateway::start().await;
    requests::insert(gateway.state.store(), rows).await.unwrap();
    gateway
}

/// Times of the rows after [`START_MS`].
fn times(page: &Value) -> Vec<i64> {
    let rows = page["rows"].as_array().unwrap().iter();
    rows.map(|row| row["at_ms"].as_i64().unwrap() - START_MS)
        .collect()
}

#[tokio::test]
async fn rows_are_filtered_and_paged() {
    let mut rows: Vec<_> = (0..5).map(row).collect();
    rows[1].status = 499;
    rows[2].model = "other".to_owned();
    rows[3].endpoint = "/v1/messages".to_owned();
    let gateway = with_rows(&rows).await;
    let between = format!("?from_ms={}&until_ms={}", START_MS + 1, START_MS + 4);
    for (query, expected) in [
        ("", vec![4, 3, 2, 1, 0]),
        (between.as_str(), vec![3, 2, 1]),
        ("?model=other", vec![2]),
        ("?endpoint=/v1/messages", vec![3]),
        ("?min_status=400", vec![1]),
        ("?limit=2", vec![4, 3]),
    ] {
        let (status, page) = gateway.get(&format!("/api/audit{query}")).await;
        assert_eq!((status, times(&page)), (200, expected), "{query}");
    }

    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let (_, page) = gateway.get(&format!("/api/audit?limit=2{after}")).await;
        found.extend(times(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        after = format!("&after={next}");
    }
    assert_eq!(found, [4, 3, 2, 1, 0]);
    gateway.stop().await;
}

#[tokio::test]
async fn totals_are_sums_of_the_selected_rows() {
    let mut rows: Vec<_> = (0..5).map(row).collect();
    rows[1].status = 500;
    rows[1].usage = None;
    let gateway = with_rows(&rows).await;
    let expected = json!({
        "requests": 5,
        "errors": 1,
        "prompt_tokens": 40,
        "cached_tokens": 16,
        "completion_tokens": 8,
        "duration_ms": 150,
    });
    assert_eq!(gateway.get("/api/audit/totals").await, (200, expected));
    let (_, failed) = gateway.get("/api/audit/totals?min_status=500").await;
    assert_eq!(
        (&failed["requests"], &failed["prompt_tokens"]),
        (&json!(1), &json!(0))
    );
    gateway.stop().await;
}

#[tokio::test]
async fn exports_have_all_rows_of_several_pages() {
    let mut rows: Vec<_> = (0..2500).map(row).collect();
    rows[2499].model = "=cmd|' /C calc'!A0".to_owned();
    let gateway = with_rows(&rows).await;
    let export = async |query: &str| {
        let path = format!("/api/audit/export?{query}");
        let response = gateway.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let disposition = response.headers()["content-disposition"].to_str().unwrap();
        assert!(disposition.starts_with("attachment"), "{disposition}");
        response.text().await.unwrap()
    };
    let csv = export("format=csv").await;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2501);
    let columns = lines[0].split(',').count();
    assert!(lines.iter().all(|line| line.split(',').count() == columns));
    assert!(lines[1].contains(",'=cmd|"), "{}", lines[1]);

    let jsonl = export("format=jsonl&model=org/small&limit=1500").await;
    let parsed: Vec<Value> = jsonl
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(parsed.len(), 1500);
    assert_eq!(parsed[0]["at_ms"], START_MS + 2498);
    assert_eq!(export("format=jsonl&model=none").await, "");
    assert_eq!(export("model=none").await.lines().count(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn invalid_filters_are_rejected_by_field() {
    let gateway = TestGateway::start().await;
    for (path, field) in [
        ("/api/audit?limit=0", "limit"),
        ("/api/audit?limit=1001", "limit"),
        ("/api/audit?limit=x", "limit"),
        ("/api/audit?after=x", "after"),
        ("/api/audit?from_ms=2&until_ms=1", "from_ms"),
        ("/api/audit?format=csv", "format"),
        ("/api/audit?user=x", "user"),
        ("/api/audit/totals?limit=1", "limit"),
        ("/api/audit/export?format=xml", "format"),
    ] {
        let response = gateway.get(path).await;
        assert_eq!(
            problem(&response),
            (400, "invalid_request", vec![field]),
            "{path}"
        );
    }
    let unknown = format!("/api/audit?after={}", Uuid::nil());
    assert_eq!(
        problem(&gateway.get(&unknown).await).1,
        "audit_row_not_found"
    );
    gateway.stop().await;
}

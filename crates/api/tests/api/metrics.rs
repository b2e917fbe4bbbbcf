//! `/metrics`.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::{chat, metric, start};

const DOCUMENTATION: &str = include_str!("../../../../docs/metrics.md");

/// Prefix of the metrics that only a gateway has.
const GATEWAY_PREFIX: &str = "mlxm_gateway_";

/// Types by name, from the tables of docs/metrics.md, without the metrics of the gateway.
fn documented() -> BTreeMap<String, String> {
    let rows = DOCUMENTATION.lines().filter_map(|line| {
        let row = line.strip_prefix("| `")?;
        let (name, rest) = row.split_once("` | ")?;
        let (kind, _) = rest.split_once(" |")?;
        if name.starts_with(GATEWAY_PREFIX) {
            return None;
        }
        Some((name.to_owned(), kind.to_owned()))
    });
    rows.collect()
}

/// Types by name; OpenMetrics leaves the suffix of counters out of `# TYPE` lines.
fn exported(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let suffix = if kind == "counter" { "_total" } else { "" };
        Some((format!("{name}{suffix}"), kind.to_owned()))
    });
    types.collect()
}

#[tokio::test]
async fn documentation_lists_all_metrics_with_their_types() {
    let server = start().await;
    // A metric with labels is exported once it has a value.
    let body = chat("Hi", json!({"max_tokens": 3}));
    server.ok("/v1/chat/completions", &body).await;
    let (_, text) = server.get("/metrics").await;
    assert_eq!(exported(&text), documented());
}

#[tokio::test]
async fn finished_completion_is_counted_with_its_latencies() {
    let server = start().await;
    let body = chat("Hi", json!({"max_tokens": 3, "ignore_eos": true}));
    server.ok("/v1/chat/completions", &body).await;
    let (_, text) = server.get("/metrics").await;
    let value = |name: &str| metric(&text, &format!("mlxm_{name}"));
    assert_eq!(
        value("request_success_total{finished_reason=\"length\"}"),
        1.0
    );
    assert_eq!(value("requests_aborted_total"), 0.0);
    assert_eq!(value("generation_tokens_total"), 3.0);
    assert_eq!(value("time_to_first_token_seconds_count"), 1.0);
    assert_eq!(value("inter_token_latency_seconds_count"), 2.0);
    assert_eq!(value("e2e_request_latency_seconds_count"), 1.0);
    assert_eq!(value("request_queue_time_seconds_count"), 1.0);
    assert!(value("step_seconds_total") >= value("forward_seconds_total"));
    assert!((0.0..=1.0).contains(&value("kv_cache_usage_ratio")));
}

//! What passes between clients and workers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream;
use mlxm_api::gateway::proxy::{
    Alias, Catalog, Class, KeepAlive, Profile, ProxyOptions, RequestDefaults,
};
use mlxm_api::{RequestUsage, UsageFinish};
use serde_json::json;

use crate::support::{MODEL, Setup, catalog, request};
use crate::worker::{TestWorker, data, event_list, json as whole, response, trailers};

const CHAT: &str = "/v1/chat/completions";

fn usage() -> RequestUsage {
    RequestUsage {
        prompt_tokens: 12,
        cached_tokens: 8,
        completion_tokens: 3,
        queue_ms: Some(0.25),
        first_token_ms: Some(38.4),
        total_ms: 121.5,
        finish: Some(UsageFinish::Stop),
    }
}

#[tokio::test]
async fn body_path_and_headers_reach_the_worker() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let mut gateway = Setup::default().start(&worker).await;
    let body = format!(" {{ \"messages\" : [\"\\u00e9\", 1e2] ,\r\n\"model\":\"{MODEL}\"}}\n");
    let parts: Vec<Vec<u8>> = body.as_bytes().chunks(7).map(<[u8]>::to_vec).collect();
    let chunked =
        reqwest::Body::wrap_stream(stream::iter(parts.into_iter().map(Ok::<_, std::io::Error>)));
    let response = gateway
        .post("/v1/chat/completions?beta=true", chunked)
        .header("authorization", "Bearer of-the-client")
        .header("x-api-key", "of-the-client")
        .header("cookie", "session=1")
        .header("x-mlxm-defaults", "e30")
        .header("x-mlxm-priority", "interactive")
        .header("x-mlxm-request-id", "chosen-by-the-client")
        .header("connection", "x-hop, x-mlxm-request-id")
        .header("x-hop", "1")
        .header("x-request-id", "req_of_client")
        .header(
            "traceparent",
            "00-11111111111111111111111111111111-2222222222222222-01",
        )
        .header("anthropic-version", "2023-06-01")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["x-request-id"], "req_of_client");
    assert_eq!(response.headers()["x-served-by"], "local");

    let received = worker.received().remove(0);
    assert_eq!(received.body, body.as_bytes());
    assert_eq!(received.uri, "/v1/chat/completions?beta=true");
    assert_eq!(received.header("authorization"), Some("Bearer worker-key"));
    assert_eq!(received.header("x-request-id"), Some("req_of_client"));
    assert_eq!(received.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(received.header("x-mlxm-priority"), Some("normal"));
    assert_eq!(received.header("te"), Some("trailers"));
    assert_eq!(received.header("host"), Some(&*worker.address.to_string()));
    assert!(received.header("traceparent").is_some());
    let own_id = received.header("x-mlxm-request-id").unwrap();
    assert_eq!(own_id.len(), 32);
    for name in [
        "x-api-key",
        "cookie",
        "x-mlxm-defaults",
        "x-hop",
        "connection",
        "transfer-encoding",
    ] {
        assert_eq!(received.header(name), None, "{name}");
    }
    assert_eq!(received.headers.get_all("authorization").iter().count(), 1);

    let record = gateway.record().await;
    assert_eq!((record.status, &*record.route), (200, CHAT));
    assert_eq!(record.model.as_deref(), Some(MODEL));
    assert_eq!(record.request_id, "req_of_client");
}

#[tokio::test]
async fn response_reaches_the_client_without_what_is_internal() {
    let worker = TestWorker::start(|_| {
        let headers = [
            ("content-type", "application/json"),
            ("x-mlxm-usage", r#"{"prompt_tokens":5}"#),
            ("x-mlxm-secret", "1"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("warning", "299 - \"a\""),
        ];
        let mut response = response(&headers, "{\"a\": 1}".into());
        *response.status_mut() = axum::http::StatusCode::IM_A_TEAPOT;
        response
    })
    .await;
    let mut gateway = Setup::default().start(&worker).await;
    let response = gateway.post(CHAT, request(false)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 418);
    let headers = response.headers().clone();
    assert_eq!(headers["warning"], "299 - \"a\"");
    assert_eq!(headers["content-length"], "8");
    for name in ["x-mlxm-usage", "x-mlxm-secret", "x-hop"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_eq!(response.text().await.unwrap(), "{\"a\": 1}");
    let record = gateway.record().await;
    assert_eq!(record.status, 418);
    assert_eq!(record.usage.unwrap().prompt_tokens, 5);
}

#[tokio::test]
async fn stream_passes_unchanged_and_its_trailer_is_recorded() {
    let worker = TestWorker::start(|_| {
        event_list(vec![
            data("data: {\"a\":1}\n\n: keepalive\n\nda"),
            data("ta: {\"b\""),
            data(":2}\n\ndata: [DONE]\n\n"),
            trailers(&usage()),
        ])
    })
    .await;
    let mut gateway = Setup::default().start(&worker).await;
    for route in [
        CHAT,
        "/chat/completions",
        "/v1/messages",
        "/responses",
        "/completions",
    ] {
        let response = gateway.post(route, request(true));
        let response = response.header("te", "trailers").send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("trailer"));
        let text = response.text().await.unwrap();
        assert_eq!(
            text,
            "data: {\"a\":1}\n\n: keepalive\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n"
        );
        let record = gateway.record().await;
        assert_eq!((&*record.route, record.status), (route, 200));
        assert_eq!(record.usage, Some(usage()));
        assert_eq!(worker.received().pop().unwrap().uri.path(), route);
    }
}

#[tokio::test]
async fn profile_adds_its_request_settings() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let settings = [("temperature".to_owned(), json!(0.5))]
        .into_iter()
        .collect();
    let mut catalog = catalog(&[MODEL]);
    catalog.profiles.push(Profile {
        name: "calm".to_owned(),
        model: MODEL.to_owned(),
        context_length: None,
        defaults: Some(RequestDefaults::new(&settings).unwrap()),
        loaded: false,
    });
    catalog
        .aliases
        .push(Alias::new("claude-*", "calm").unwrap());
    let setup = Setup {
        catalog,
        ..Setup::default()
    };
    let mut gateway = setup.start(&worker).await;
    let body = r#"{"model":"claude-haiku","keep_alive":"10m"}"#;
    assert_eq!(gateway.text("/v1/messages", body).await.0, 200);
    let received = worker.received().remove(0);
    // {"temperature":0.5} as base64url.
    assert_eq!(
        received.header("x-mlxm-defaults"),
        Some("eyJ0ZW1wZXJhdHVyZSI6MC41fQ")
    );
    assert_eq!(received.body, body.as_bytes());
    let (target, class) = gateway.targets.recv().await.unwrap();
    assert_eq!(class, Class::Normal);
    assert_eq!(target.profile.as_deref(), Some("calm"));
    let ten_minutes = KeepAlive::For(Duration::from_mins(10));
    assert_eq!(target.keep_alive, Some(ten_minutes));
    assert_eq!(gateway.record().await.profile.as_deref(), Some("calm"));
}

/// A catalog whose profile `long` has a system prompt of this length.
fn with_system_prompt(length: usize) -> Catalog {
    let prompt = json!("x".repeat(length));
    let settings = [("system_prompt".to_owned(), prompt)].into_iter().collect();
    let mut catalog = catalog(&[MODEL]);
    catalog.profiles.push(Profile {
        name: "long".to_owned(),
        model: MODEL.to_owned(),
        context_length: None,
        defaults: Some(RequestDefaults::new(&settings).unwrap()),
        loaded: false,
    });
    catalog
}

#[tokio::test]
async fn settings_that_are_too_large_for_a_header_are_registered_once() {
    let worker = TestWorker::start(|received| match received.uri.path() {
        "/internal/defaults" => whole(r#"{"id":"registered-1"}"#),
        _ => whole("{}"),
    })
    .await;
    let setup = Setup {
        catalog: with_system_prompt(60_000),
        ..Setup::default()
    };
    let gateway = setup.start(&worker).await;
    for _ in 0..2 {
        assert_eq!(gateway.text(CHAT, r#"{"model":"long"}"#).await.0, 200);
    }
    let received = worker.received();
    let paths: Vec<&str> = received.iter().map(|request| request.uri.path()).collect();
    assert_eq!(paths, ["/internal/defaults", CHAT, CHAT]);
    assert_eq!(
        received[0].header("authorization"),
        Some("Bearer worker-key")
    );
    let registered: serde_json::Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(registered["system_prompt"].as_str().unwrap().len(), 60_000);
    for request in &received[1..] {
        assert_eq!(request.header("x-mlxm-defaults-id"), Some("registered-1"));
        assert_eq!(request.header("x-mlxm-defaults"), None);
    }
}

#[tokio::test]
async fn rejected_settings_are_an_error_and_not_left_out() {
    let worker = TestWorker::start(|received| {
        let mut response = whole("{}");
        if received.uri.path() == "/internal/defaults" {
            *response.status_mut() = axum::http::StatusCode::BAD_REQUEST;
        }
        response
    })
    .await;
    let setup = Setup {
        catalog: with_system_prompt(60_000),
        ..Setup::default()
    };
    let mut gateway = setup.start(&worker).await;
    let (status, text) = gateway.text(CHAT, r#"{"model":"long"}"#).await;
    assert_eq!(status, 502, "{text}");
    assert!(text.contains("mlxm profile edit"), "{text}");
    assert_eq!(worker.received().len(), 1);
    assert_eq!(gateway.record().await.status, 502);
}

#[tokio::test]
async fn invalid_bodies_are_rejected_before_a_worker_is_acquired() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let setup = Setup {
        options: ProxyOptions {
            body_bytes: 1000,
            ..ProxyOptions::default()
        },
        catalog: catalog(&[MODEL, "org/other"]),
        ..Setup::default()
    };
    let mut gateway = setup.start(&worker).await;
    let large = format!(r#"{{"model":"{MODEL}","x":"{}"}}"#, "x".repeat(1000));
    for (body, status, words) in [
        (r#"{"model":"a","model":"b"}"#, 400, "more than once"),
        (r#"{"model":"a","mod\u0065l":"a"}"#, 400, "more than once"),
        (r#"{"model":7}"#, 400, "must be a string"),
        (r#"{"messages":[]}"#, 400, "`org/model-4bit` or `org/other`"),
        (r#"{"model":"org/unknown"}"#, 404, "mlxm pull org/unknown"),
        (r#"{"model":"org/"}"#, 400, "ambiguous"),
        (r#"{"model":"other","ttl":"soon"}"#, 400, "ttl must be"),
        ("no JSON", 400, "not a JSON object"),
        (large.as_str(), 413, "1000 bytes"),
    ] {
        let (actual, text) = gateway.text(CHAT, body.to_owned()).await;
        assert_eq!(actual, status, "{text}");
        assert!(text.contains(words), "{text}");
        assert_eq!(gateway.record().await.status, status);
        // In the format of the protocol.
        let (_, text) = gateway.text("/v1/messages", body.to_owned()).await;
        assert!(text.starts_with(r#"{"type":"error""#), "{text}");
        gateway.record().await;
    }
    assert!(worker.received().is_empty());
    assert_eq!(gateway.pool.leases.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn body_that_is_no_json_reaches_the_only_model() {
    let worker = TestWorker::start(|received| {
        let mut response = whole("{\"error\":{}}");
        if received.body == "no JSON" {
            *response.status_mut() = axum::http::StatusCode::BAD_REQUEST;
        }
        response
    })
    .await;
    let gateway = Setup::default().start(&worker).await;
    let (status, text) = gateway.text(CHAT, "no JSON").await;
    assert_eq!((status, &*text), (400, "{\"error\":{}}"));
}

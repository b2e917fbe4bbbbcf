//! Requests of web pages from other origins.

use mlxm_api::{AccessPolicy, ServerOptions};
use serde_json::json;

use crate::support::{load_options, server_options, start, start_with};

const PAGE: &str = "http://localhost:3000";

fn preflight(url: &str, origin: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new()
        .request(
            reqwest::Method::OPTIONS,
            format!("{url}/v1/chat/completions"),
        )
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "content-type,authorization",
        )
}

#[tokio::test]
async fn preflight_allows_only_the_configured_origins() {
    let options = ServerOptions {
        access: AccessPolicy {
            cors_origins: vec![PAGE.parse().unwrap()],
            api_key: Some("key".to_owned()),
            ..AccessPolicy::default()
        },
        ..server_options()
    };
    let server = start_with("llama-4bit", &load_options(), options).await;
    let response = preflight(&server.url, PAGE).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 204);
    assert_eq!(response.headers()["access-control-allow-origin"], PAGE);
    assert_eq!(response.headers()["access-control-allow-methods"], "POST");
    let headers = &response.headers()["access-control-allow-headers"];
    assert_eq!(headers, "content-type,authorization");
    let other = preflight(&server.url, "http://example.com")
        .send()
        .await
        .unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn responses_and_errors_carry_the_allowed_origin() {
    let options = ServerOptions {
        access: AccessPolicy {
            cors_origins: vec!["*".parse().unwrap()],
            ..AccessPolicy::default()
        },
        ..server_options()
    };
    let server = start_with("llama-4bit", &load_options(), options).await;
    for (body, status) in [
        (
            json!({"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}),
            200,
        ),
        (json!({}), 400),
    ] {
        let request = server.request("/v1/messages", &body).header("origin", PAGE);
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert!(response.headers().contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn server_without_origins_sends_no_cors_headers() {
    let server = start().await;
    let response = preflight(&server.url, PAGE).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 405);
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

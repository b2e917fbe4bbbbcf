//! A server on a loopback address without an API key, and web pages.

use mlxm_api::{AccessPolicy, ServerOptions};
use serde_json::json;

use crate::support::{TestServer, load_options, server_options, start_with};

async fn start(options: ServerOptions) -> TestServer {
    start_with("llama-4bit", &load_options(), options).await
}

fn options() -> ServerOptions {
    ServerOptions {
        access: AccessPolicy {
            loopback: true,
            allowed_hosts: vec!["proxy.example".to_owned()],
            cors_origins: vec!["http://allowed.example".parse().unwrap()],
            ..AccessPolicy::default()
        },
        ..server_options()
    }
}

/// The status of a request with these headers.
async fn status(server: &TestServer, headers: &[(&str, &str)]) -> u16 {
    let body = json!({"prompt": "Hi"}).to_string();
    let mut request = reqwest::Client::new()
        .post(format!("{}/tokenize", server.url))
        .body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_rejected_without_a_key() {
    let server = start(options()).await;
    let own = server.url.clone();
    for (headers, expected) in [
        (vec![], 200),
        (vec![("content-type", "text/plain")], 200),
        (vec![("host", "localhost:1234")], 200),
        (vec![("host", "[::1]:1234")], 200),
        (vec![("host", "proxy.example")], 200),
        (vec![("host", "evil.example")], 403),
        (vec![("host", "127.0.0.1.evil.example")], 403),
        (
            vec![
                ("origin", "http://evil.example"),
                ("content-type", "text/plain"),
            ],
            403,
        ),
        (
            vec![
                ("origin", "http://evil.example"),
                ("content-type", "application/json"),
            ],
            403,
        ),
        (vec![("origin", "null")], 403),
        (vec![("origin", "http://allowed.example")], 200),
        (vec![("origin", own.as_str())], 200),
    ] {
        assert_eq!(status(&server, &headers).await, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn api_key_replaces_the_check_of_host_and_origin() {
    let mut with_key = options();
    with_key.access.api_key = Some("secret".to_owned());
    let server = start(with_key).await;
    let key = ("x-api-key", "secret");
    assert_eq!(
        status(&server, &[key, ("host", "other.example")]).await,
        200
    );
    assert_eq!(status(&server, &[("host", "other.example")]).await, 401);
}

#[tokio::test]
async fn rejection_names_the_option() {
    let server = start(options()).await;
    let request = server.request("/v1/messages", &json!({}));
    let response = request
        .header("origin", "http://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 403);
    let text = response.text().await.unwrap();
    assert!(text.contains("--cors http://evil.example"), "{text}");
    assert!(text.contains("permission_error"), "{text}");
}

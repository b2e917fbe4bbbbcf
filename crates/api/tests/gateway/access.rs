//! Who may use the gateway.

use mlxm_api::AccessPolicy;
use mlxm_api::gateway::proxy::ProxyOptions;

use crate::support::{Setup, TestGateway, request};
use crate::worker::{TestWorker, json};

async fn start(access: AccessPolicy) -> TestGateway {
    let worker = TestWorker::start(|_| json("{}")).await;
    let options = ProxyOptions {
        access,
        ..ProxyOptions::default()
    };
    let setup = Setup {
        options,
        ..Setup::default()
    };
    setup.start(&worker).await
}

async fn status(gateway: &TestGateway, headers: &[(&str, &str)]) -> u16 {
    let mut post = gateway.post("/v1/chat/completions", request(false));
    for (name, value) in headers {
        post = post.header(*name, *value);
    }
    post.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn without_a_key_only_this_machine_and_its_own_pages_are_allowed() {
    let gateway = start(AccessPolicy {
        allowed_hosts: vec!["mac.local".to_owned()],
        cors_origins: vec!["http://allowed.example".parse().unwrap()],
        ..AccessPolicy::default()
    })
    .await;
    let own = gateway.url.clone();
    for (headers, expected) in [
        (vec![], 200),
        (vec![("content-type", "text/plain")], 200),
        (vec![("host", "mac.local:8080")], 200),
        (vec![("host", "evil.example")], 403),
        (vec![("origin", own.as_str())], 200),
        (vec![("origin", "http://allowed.example")], 200),
        (vec![("origin", "http://evil.example")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("x-forwarded-for", "10.0.0.1")], 403),
    ] {
        assert_eq!(status(&gateway, &headers).await, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn with_a_key_hosts_and_origins_are_checked_all_the_same() {
    let gateway = start(AccessPolicy {
        api_key: Some("secret".to_owned()),
        ..AccessPolicy::default()
    })
    .await;
    let key = ("x-api-key", "secret");
    for (headers, expected) in [
        (vec![key], 200),
        (vec![("authorization", "Bearer secret")], 200),
        (vec![key, ("x-forwarded-for", "10.0.0.1")], 200),
        (vec![], 401),
        (vec![("x-api-key", "secre")], 401),
        (vec![key, ("host", "evil.example")], 403),
        (vec![key, ("origin", "http://evil.example")], 403),
    ] {
        assert_eq!(status(&gateway, &headers).await, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn preflight_of_an_allowed_page_needs_no_key() {
    let gateway = start(AccessPolicy {
        api_key: Some("secret".to_owned()),
        cors_origins: vec!["http://allowed.example".parse().unwrap()],
        ..AccessPolicy::default()
    })
    .await;
    let url = format!("{}/v1/messages", gateway.url);
    let preflight = gateway.client.request(reqwest::Method::OPTIONS, url);
    let preflight = preflight
        .header("origin", "http://allowed.example")
        .header("access-control-request-method", "POST");
    let response = preflight.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 204);
    let allowed = &response.headers()["access-control-allow-origin"];
    assert_eq!(allowed, "http://allowed.example");
}

//! The page that shows the OpenAPI document.

use reqwest::Method;
use serde_json::Value;

use crate::support::{TestGateway, response};

/// Starts of attributes that load something, or link to it.
const REFERENCES: [&str; 2] = ["src=\"", "href=\""];

async fn text(gateway: &TestGateway, path: &str) -> String {
    let (status, body) = response(gateway.request(Method::GET, path)).await;
    assert_eq!(status, 200, "{path}");
    match body {
        Value::String(text) => text,
        json => json.to_string(),
    }
}

#[tokio::test]
async fn page_uses_only_files_of_the_gateway() {
    let gateway = TestGateway::start().await;
    let page = text(&gateway, "/api/docs").await;
    let mut files = 0;
    for start in REFERENCES {
        for (index, _) in page.match_indices(start) {
            let rest = &page[index + start.len()..];
            let target = &rest[..rest.find('"').unwrap()];
            if target.starts_with('#') {
                continue;
            }
            assert!(target.starts_with("/api/"), "{target}");
            let file = text(&gateway, target).await;
            let is_document = target == "/api/openapi.json";
            assert!(is_document || !file.contains("://"), "{target}");
            files += 1;
        }
    }
    assert_eq!(files, 4);
    gateway.stop().await;
}

#[tokio::test]
async fn page_works_under_its_content_security_policy() {
    let gateway = TestGateway::start().await;
    for (path, media_type) in [
        ("/api/docs", "text/html; charset=utf-8"),
        ("/api/docs/page.css", "text/css; charset=utf-8"),
        ("/api/docs/page.js", "text/javascript; charset=utf-8"),
    ] {
        let request = gateway.request(Method::GET, path);
        let response = request.send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(header("content-type"), media_type);
        assert_eq!(header("x-content-type-options"), "nosniff");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    // Scripts and styles in markup do not run under the policy, and text of the document must not become markup.
    let page = text(&gateway, "/api/docs").await;
    for forbidden in ["<style", "style=", " onclick=", " onload="] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let script = text(&gateway, "/api/docs/page.js").await;
    for forbidden in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
    ] {
        assert!(!script.contains(forbidden), "{forbidden}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn page_is_for_the_owner_only() {
    let gateway = TestGateway::start().await;
    for path in ["/api/docs", "/api/docs/page.js"] {
        let request = gateway
            .request(Method::GET, path)
            .header("x-forwarded-for", "10.0.0.1");
        assert_eq!(response(request).await.0, 403, "{path}");
    }
    gateway.stop().await;
}

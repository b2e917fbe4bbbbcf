//! The web page, whether or not it was built when the tests were compiled.

use mlxm_api::gateway::has_page;
use reqwest::Method;

use crate::support::{TestGateway, problem, response};

const OPENED: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

#[tokio::test]
async fn browsers_get_a_page_and_programs_the_apis() {
    let gateway = TestGateway::start().await;
    for path in ["/", "/servers", "/models", "/models/org/small"] {
        for method in [Method::GET, Method::HEAD] {
            let request = gateway.request(method.clone(), path);
            let page = request.header(OPENED.0, OPENED.1).send().await.unwrap();
            assert_eq!(page.status(), 200, "{method} {path}");
            assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
            let policy = page.headers()["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'"), "{policy}");
            let html = page.text().await.unwrap();
            assert_eq!(html.contains("<html"), method == Method::GET, "{html}");
            let is_replaced = html.contains("without its page");
            assert_eq!(is_replaced, method == Method::GET && !has_page(), "{html}");
        }
    }
    // The same path without `/v1`.
    let (status, models) = gateway.get("/models").await;
    assert_eq!(status, 200);
    assert_eq!(models["object"], "list");
    let (status, _) = gateway.get("/").await;
    assert_eq!(status, 404);
    gateway.stop().await;
}

#[tokio::test]
async fn unknown_routes_of_apis_are_no_page() {
    let gateway = TestGateway::start().await;
    let opened = |path: &str| {
        let request = gateway.request(Method::GET, path);
        response(request.header(OPENED.0, OPENED.1))
    };
    let unknown = opened("/api/no-such-route").await;
    assert_eq!(problem(&unknown).0, 404);
    let (status, error) = opened("/v1/no-such-route").await;
    assert_eq!(status, 404);
    assert!(error["error"]["message"].is_string(), "{error}");
    let (status, health) = opened("/health").await;
    assert_eq!(status, 200);
    assert!(health.is_object(), "{health}");
    gateway.stop().await;
}

#[tokio::test]
async fn page_is_for_the_hosts_of_the_gateway_only() {
    let gateway = TestGateway::start().await;
    let request = gateway
        .request(Method::GET, "/")
        .header("host", "evil.example");
    let (status, _) = response(request.header(OPENED.0, OPENED.1)).await;
    assert_eq!(status, 403);
    gateway.stop().await;
}

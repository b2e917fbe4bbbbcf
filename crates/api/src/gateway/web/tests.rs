use std::io::{Read as _, Write as _};

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse as _;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;

use super::files::EmbeddedFile;
use super::*;

const HTML: &str = "<!doctype html><title>page</title><script>start()</script>";
const PREVIEW: &str = "<!doctype html><title>preview</title><script>show()</script>";
const MANIFEST: &str = r#"{"name": "mlxm"}"#;
const ROUTES: &str = r#"[{"route": "/chat/[[id]]", "scripts": ["/_app/immutable/chat.abc.js"]}]"#;
const SCRIPT: &str = "export const text = 'a script of some length, a script of some length';";

/// What browsers send when a user opens a page.
const OPENED: (&str, &str) = (
    "accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
);

fn gzip(text: &str) -> &'static [u8] {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap().leak()
}

fn site() -> Site {
    let file = |path, text| EmbeddedFile {
        path,
        bytes: gzip(text),
        is_gzip: true,
    };
    Site::new(&[
        file("/index.html", HTML),
        file("/_app/immutable/start.abc.js", SCRIPT),
        file("/_app/version.json", "{}"),
        file("/_app/routes.json", ROUTES),
        file("/manifest.webmanifest", MANIFEST),
        file("/preview/frame.html", PREVIEW),
        EmbeddedFile {
            path: "/font.woff2",
            bytes: b"font",
            is_gzip: false,
        },
    ])
}

/// A router whose other routes return the path with status 418, so that they are recognized.
fn router(site: Site) -> Router {
    let other = |request: Request| async move {
        let path = request.uri().path().to_owned();
        (StatusCode::IM_A_TEAPOT, path).into_response()
    };
    let access = AccessPolicy {
        loopback: true,
        ..AccessPolicy::default()
    };
    with_site(Router::new().fallback(other), Arc::new(access), site)
}

async fn send(router: &Router, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn get(path: &str, headers: &[(&str, &str)]) -> Response {
    send(&router(site()), Method::GET, path, headers).await
}

async fn bytes(response: Response) -> Vec<u8> {
    let body = response.into_body().collect().await.unwrap();
    body.to_bytes().to_vec()
}

async fn text(response: Response) -> String {
    String::from_utf8(bytes(response).await).unwrap()
}

fn header_of<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn browsers_get_the_page_at_every_path_that_is_not_of_an_api() {
    for path in [
        "/",
        "/welcome",
        "/models",
        "/models/org/name",
        "/chat/1",
        "/no/such/page",
        "/apis",
        "/settings/memory?from=/api",
    ] {
        let response = get(path, &[OPENED]).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(
            header_of(&response, "content-type"),
            "text/html; charset=utf-8"
        );
        assert_eq!(text(response).await, HTML, "{path}");
    }
}

#[tokio::test]
async fn paths_of_apis_are_never_a_page() {
    for path in [
        "/api",
        "/api/",
        "/api/no-such-route",
        "//api/servers",
        "/v1/models",
        "/v1/no-such-route",
        "/health",
        "/metrics",
        "/internal/usage/1",
        "/responses/resp_1",
    ] {
        let response = get(path, &[OPENED]).await;
        assert_eq!(response.status(), 418, "{path}");
    }
}

#[tokio::test]
async fn programs_get_no_page() {
    let accepts: [&[(&str, &str)]; 4] = [
        &[],
        &[("accept", "*/*")],
        &[("accept", "application/json")],
        &[("accept", "text/*, text/htmlx")],
    ];
    for headers in accepts {
        for path in ["/", "/models", "/no/such/page"] {
            let response = get(path, headers).await;
            assert_eq!(response.status(), 418, "{path} {headers:?}");
        }
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let response = send(&router(site()), method.clone(), "/models", &[OPENED]).await;
        assert_eq!(response.status(), 418, "{method}");
    }
}

#[tokio::test]
async fn files_are_compressed_for_clients_that_accept_it() {
    let path = "/_app/immutable/start.abc.js";
    let plain = get(path, &[]).await;
    assert_eq!(header_of(&plain, "content-encoding"), "");
    assert_eq!(header_of(&plain, "vary"), "accept, accept-encoding");
    assert_eq!(text(plain).await, SCRIPT);

    let compressed = get(path, &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(header_of(&compressed, "content-encoding"), "gzip");
    assert_eq!(
        header_of(&compressed, "content-type"),
        "text/javascript; charset=utf-8"
    );
    let mut unpacked = String::new();
    let body = bytes(compressed).await;
    GzDecoder::new(&*body)
        .read_to_string(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, SCRIPT);

    // Browsers ask for it without naming a type.
    let manifest = get("/manifest.webmanifest", &[("accept", "*/*")]).await;
    assert_eq!(
        header_of(&manifest, "content-type"),
        "application/manifest+json"
    );
    assert_eq!(text(manifest).await, MANIFEST);

    // A file that has no compressed form.
    let font = get("/font.woff2", &[("accept-encoding", "gzip")]).await;
    assert_eq!(header_of(&font, "content-encoding"), "");
    assert_eq!(header_of(&font, "content-type"), "font/woff2");
    assert_eq!(text(font).await, "font");
}

#[tokio::test]
async fn only_files_with_a_hash_in_their_name_are_kept_without_asking_again() {
    let immutable = get("/_app/immutable/start.abc.js", &[]).await;
    assert_eq!(
        header_of(&immutable, "cache-control"),
        "public, max-age=31536000, immutable"
    );
    for path in ["/_app/version.json", "/font.woff2", "/index.html", "/"] {
        let response = get(path, &[OPENED]).await;
        assert_eq!(header_of(&response, "cache-control"), "no-cache", "{path}");
        let etag = header_of(&response, "etag").to_owned();
        let known = get(path, &[OPENED, ("if-none-match", &etag)]).await;
        assert_eq!(known.status(), 304, "{path}");
        assert_eq!(header_of(&known, "etag"), etag);
        assert!(bytes(known).await.is_empty());
        let other = get(path, &[OPENED, ("if-none-match", "W/\"other\"")]).await;
        assert_eq!(other.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn files_of_another_version_are_not_replaced_by_the_page() {
    for headers in [&[][..], &[OPENED][..]] {
        let response = get("/_app/immutable/start.old.js", headers).await;
        assert_eq!(response.status(), 404);
        let body = text(response).await;
        assert!(body.contains("reload it"), "{body}");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    let router = router(site());
    for (path, headers) in [
        ("/", &[OPENED][..]),
        (
            "/_app/immutable/start.abc.js",
            &[("accept-encoding", "gzip")][..],
        ),
        ("/_app/version.json", &[][..]),
    ] {
        let with_get = send(&router, Method::GET, path, headers).await;
        let with_head = send(&router, Method::HEAD, path, headers).await;
        assert_eq!(with_head.status(), with_get.status());
        assert_eq!(with_head.headers(), with_get.headers(), "{path}");
        assert!(with_head.headers().contains_key("content-length"), "{path}");
        assert!(bytes(with_head).await.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn paths_do_not_leave_the_page() {
    for path in [
        "/_app/../index.html",
        "/_app/%2e%2e/%2e%2e/etc/passwd",
        "/_app/immutable/../../../Cargo.toml",
        "/_app//immutable/start.abc.js",
        "/_app/immutable/start.abc.js%00",
    ] {
        assert_eq!(get(path, &[]).await.status(), 404, "{path}");
    }
    for path in [
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%2fCargo.toml",
        "/font.woff2/..",
    ] {
        // Names of pages that the page does not know.
        assert_eq!(text(get(path, &[OPENED]).await).await, HTML, "{path}");
        assert_eq!(get(path, &[]).await.status(), 418, "{path}");
    }
}

#[tokio::test]
async fn every_response_has_the_policy() {
    let (script, page) = (
        get("/_app/immutable/start.abc.js", &[]).await,
        get("/servers", &[OPENED]).await,
    );
    for response in [script, page] {
        let policy = header_of(&response, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self' 'sha256-"),
            "{policy}"
        );
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert_eq!(policy.matches("unsafe").count(), 1, "{policy}");
        assert!(!policy.contains("http"), "{policy}");
        assert_eq!(header_of(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header_of(&response, "referrer-policy"), "no-referrer");
        assert_eq!(
            header_of(&response, "cross-origin-opener-policy"),
            "same-origin"
        );
        assert_eq!(
            header_of(&response, "cross-origin-resource-policy"),
            "same-origin"
        );
    }
}

#[tokio::test]
async fn foreign_hosts_and_pages_get_no_file_but_may_link_to_the_page() {
    let rebound = [OPENED, ("host", "evil.example")];
    let mut request = Request::builder().uri("/");
    for (name, value) in rebound {
        request = request.header(name, HeaderValue::from_static(value));
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router(site()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 403);

    let (foreign, script) = (
        ("sec-fetch-site", "cross-site"),
        "/_app/immutable/start.abc.js",
    );
    assert_eq!(get(script, &[foreign]).await.status(), 403);
    let origin = ("origin", "http://evil.example");
    assert_eq!(get(script, &[foreign, origin]).await.status(), 403);
    let navigates = ("sec-fetch-mode", "navigate");
    let frame = [OPENED, foreign, navigates, ("sec-fetch-dest", "iframe")];
    assert_eq!(get("/", &frame).await.status(), 403);
    let link = [OPENED, foreign, navigates, ("sec-fetch-dest", "document")];
    assert_eq!(get("/models/org/name", &link).await.status(), 200);
}

#[tokio::test]
async fn program_without_the_page_says_how_to_build_it() {
    let router = router(Site::new(&[]));
    for path in ["/", "/servers"] {
        let response = send(&router, Method::GET, path, &[OPENED]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header_of(&response, "cache-control"), "no-cache");
        let policy = header_of(&response, "content-security-policy");
        assert!(policy.contains("script-src 'self';"), "{policy}");
        let html = text(response).await;
        assert!(html.contains("cargo xtask web"), "{html}");
        // The policy would not allow them.
        assert!(
            !html.contains("<style") && !html.contains("<script"),
            "{html}"
        );
    }
    let program = send(&router, Method::GET, "/", &[]).await;
    assert_eq!(program.status(), 418);
    let unknown = send(&router, Method::GET, "/api/x", &[OPENED]).await;
    assert_eq!(unknown.status(), 418);
}

#[tokio::test]
async fn previews_are_a_document_with_a_policy_of_its_own() {
    for headers in [&[OPENED][..], &[][..]] {
        let response = get("/preview/frame", headers).await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            header_of(&response, "content-type"),
            "text/html; charset=utf-8"
        );
        let policy = header_of(&response, "content-security-policy");
        assert!(policy.contains("sandbox allow-scripts"), "{policy}");
        assert!(policy.contains("frame-ancestors 'self'"), "{policy}");
        assert!(!policy.contains("connect-src"), "{policy}");
        assert_eq!(text(response).await, PREVIEW);
    }
    // Its file has no other address, where the policy of the page would apply.
    let file = get("/preview/frame.html", &[OPENED]).await;
    let policy = header_of(&file, "content-security-policy").to_owned();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(text(file).await, HTML);
    let program = get("/preview/frame.html", &[]).await;
    assert_eq!(program.status(), 418);

    let (foreign, navigates) = (
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    );
    let frame = [OPENED, foreign, navigates, ("sec-fetch-dest", "iframe")];
    assert_eq!(get("/preview/frame", &frame).await.status(), 403);
}

#[tokio::test]
async fn pages_name_the_scripts_of_their_route_in_advance() {
    for path in ["/chat", "/chat/1"] {
        let response = get(path, &[OPENED]).await;
        let link = "</_app/immutable/chat.abc.js>; rel=modulepreload; fetchpriority=low";
        assert_eq!(header_of(&response, "link"), link, "{path}");
    }
    for path in ["/welcome", "/_app/immutable/start.abc.js", "/no/such/page"] {
        let response = get(path, &[OPENED]).await;
        assert!(response.headers().get("link").is_none(), "{path}");
    }
}

//! Who may use the management API, what requests cannot do, and how errors look.

use std::convert::Infallible;

use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::json;

use crate::support::{TestGateway, problem, response};

#[tokio::test]
async fn requests_of_other_sites_and_hosts_are_rejected() {
    let gateway = TestGateway::start().await;
    let own = gateway.url.clone();
    for (headers, status) in [
        (
            vec![("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
            200,
        ),
        (vec![("origin", "http://evil.example")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("host", "evil.example")], 403),
        (vec![("x-forwarded-for", "10.0.0.1")], 403),
    ] {
        let mut request = gateway.request(Method::GET, "/api/aliases");
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let found = response(request).await;
        assert_eq!(found.0, status, "{headers:?} {}", found.1);
        if status == 403 {
            assert_eq!(problem(&found).1, "forbidden");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn changes_need_a_json_content_type() {
    let gateway = TestGateway::start().await;
    let body = json!({"name": "fast", "target": "org/small"}).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let request = gateway
            .request(Method::POST, "/api/aliases")
            .header("content-type", content_type)
            .body(body.clone());
        assert_eq!(
            problem(&response(request).await).1,
            "unsupported_media_type"
        );
    }
    assert_eq!(gateway.get("/api/aliases").await.1, json!({"aliases": []}));
    // Without a body there is no content type.
    assert_eq!(
        problem(&gateway.delete("/api/aliases/x").await).1,
        "alias_not_found"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn paths_that_are_not_utf_8_are_problems() {
    let gateway = TestGateway::start().await;
    for path in ["/api/profiles/%FF", "/api/servers/%C3%28/logs"] {
        let found = gateway.get(path).await;
        assert_eq!(problem(&found), (400, "invalid_request", vec![]), "{path}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn errors_are_problems_with_the_id_of_the_request() {
    let gateway = TestGateway::start().await;
    let request = gateway
        .request(Method::GET, "/api/profiles/none")
        .header("x-request-id", "abc-1");
    let found = request.send().await.unwrap();
    assert_eq!(found.headers()["content-type"], "application/problem+json");
    assert_eq!(found.headers()["x-request-id"], "abc-1");
    let body: serde_json::Value = found.json().await.unwrap();
    assert_eq!(body["request_id"], "abc-1");
    assert_eq!(body["type"], "urn:mlxm:error:profile_not_found");
    assert!(
        body["title"].is_string() && body["advice"].is_string(),
        "{body}"
    );

    for (method, path, status, code) in [
        (Method::GET, "/api", 404, "route_not_found"),
        (Method::GET, "/api/server", 404, "route_not_found"),
        (Method::GET, "/api/servers/x/y/z", 404, "route_not_found"),
        (Method::DELETE, "/api/settings", 405, "method_not_allowed"),
    ] {
        let found = response(gateway.request(method, path)).await;
        assert_eq!(problem(&found), (status, code, vec![]), "{path}");
    }
    let bodies = ["{", "[]", "\"x\""];
    for text in bodies {
        let request = gateway
            .request(Method::POST, "/api/profiles")
            .header("content-type", "application/json")
            .body(text);
        assert_eq!(
            problem(&response(request).await).1,
            "invalid_body",
            "{text}"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn no_page_gets_permission_to_send_requests() {
    let gateway = TestGateway::start().await;
    for (origin, status) in [
        ("http://evil.example", 403),
        ("null", 403),
        ("http://localhost:3000", 403),
        (gateway.url.as_str(), 405),
    ] {
        let preflight = gateway
            .request(Method::OPTIONS, "/api/aliases/x")
            .header("origin", origin)
            .header("access-control-request-method", "DELETE")
            .header("access-control-request-private-network", "true");
        let response = preflight.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{origin}");
        let allowed = response.headers().keys();
        let allowed = allowed.filter(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(allowed.count(), 0, "{origin}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn bodies_are_small_and_not_nested_without_end() {
    let gateway = TestGateway::start().await;
    let post = || {
        let request = gateway.request(Method::POST, "/api/profiles");
        request.header("content-type", "application/json")
    };
    let whole = post().body(" ".repeat(2 << 20));
    let chunks = stream::iter((0..64).map(|_| Ok::<_, Infallible>(" ".repeat(1 << 15))));
    let chunked = post().body(Body::wrap_stream(chunks));
    for request in [whole, chunked] {
        // The client may still write when the response and the end of the connection arrive.
        if let Ok(sent) = request.send().await {
            assert_eq!(sent.status().as_u16(), 413);
        }
    }
    for text in ["[".repeat(500_000), "{\"a\":".repeat(100_000)] {
        let found = response(post().body(text)).await;
        assert_eq!(problem(&found).1, "invalid_body");
    }
    let compressed = post()
        .header("content-encoding", "gzip")
        .body(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    assert_eq!(problem(&response(compressed).await).1, "invalid_body");
    assert_eq!(gateway.get("/api/profiles").await.0, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn names_in_addresses_are_never_paths() {
    let gateway = TestGateway::start().await;
    let long = "x".repeat(8000);
    for name in [
        "..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd",
        "org%2F..%2Forg%2Fsmall",
        "org%2Fsmall%2F",
        "org%2Fsmall%00",
        "..%5C..%5Cetc",
        "%FF%FE",
        "models",
        &long,
    ] {
        for (method, path) in [
            (Method::GET, format!("/api/models/{name}")),
            (Method::DELETE, format!("/api/models/{name}?force=true")),
            (Method::POST, format!("/api/models/{name}/verify")),
            (Method::GET, format!("/api/servers/{name}")),
            (Method::GET, format!("/api/servers/{name}/logs")),
            (Method::GET, format!("/api/servers/{name}/logs?follow=true")),
            (Method::GET, format!("/api/profiles/{name}/export")),
            (Method::DELETE, format!("/api/profiles/{name}")),
            (Method::DELETE, format!("/api/aliases/{name}")),
            (Method::DELETE, format!("/api/downloads/{name}")),
        ] {
            let (status, body) = response(gateway.request(method.clone(), &path)).await;
            assert!([400, 404].contains(&status), "{method} {path}: {body}");
        }
    }
    assert!(gateway.home().join("models/org/small/config.json").exists());
    gateway.stop().await;
}

#[tokio::test]
async fn names_in_bodies_are_never_paths() {
    let gateway = TestGateway::start().await;
    let home = gateway.home().join("models/org/small");
    for model in [
        "/etc/passwd",
        "../../etc/passwd",
        "./small",
        home.to_str().unwrap(),
    ] {
        for (path, body) in [
            ("/api/profiles", json!({"name": "a", "model": model})),
            ("/api/servers", json!({"model": model})),
            ("/api/pool/plan", json!({"model": model})),
            ("/api/downloads", json!({"repo_id": model})),
        ] {
            let (status, found) = gateway.post(path, body).await;
            assert!([400, 404].contains(&status), "{path} {model}: {found}");
        }
        let content = format!("FROM {model}");
        let import = json!({"name": "a", "format": "modelfile", "content": content});
        let found = gateway.post("/api/profiles/import", import).await;
        assert_eq!(problem(&found).1, "modelfile_invalid");
    }
    assert_eq!(
        gateway.get("/api/profiles").await.1,
        json!({"profiles": []})
    );
    gateway.stop().await;
}

#[tokio::test]
async fn settings_are_data_that_nothing_executes() {
    let gateway = TestGateway::start().await;
    let mark = gateway.home().join("mark");
    let command = format!("$(touch {0}); `touch {0}` | touch {0}", mark.display());
    for (key, value) in [
        ("server.host", json!(command)),
        ("server.cors_origins", json!([command])),
        ("models.folders", json!([command])),
        ("models.folders", json!(["../models"])),
        ("models.cache_directory", json!(command)),
        ("logs.file", json!("/home/.profile")),
        ("logs.file", json!("gateway.log")),
        ("pool.memory_budget_bytes", json!(-1)),
        ("program", json!("/bin/sh")),
    ] {
        let change = json!({"values": {key: value}});
        let (status, body) = gateway.send(Method::PATCH, "/api/settings", change).await;
        assert!([400, 404, 409].contains(&status), "{key}: {body}");
    }
    // Devices, in a directory and as one, and a directory that does not exist.
    let folders = json!(["/dev", "/dev/zero", format!("/{command}")]);
    let change = json!({"values": {"models.folders": folders, "pool.preload": [command]}});
    let (status, body) = gateway.send(Method::PATCH, "/api/settings", change).await;
    assert_eq!(status, 200, "{body}");
    let profile = json!({"name": command, "model": "org/small", "load": {"device": command}});
    let found = gateway.post("/api/profiles", profile).await;
    assert_eq!(problem(&found).2, ["load.device"]);
    let server = gateway
        .post("/api/servers", json!({"model": "org/small"}))
        .await;
    assert!(server.0 < 300, "{}", server.1);
    assert!(!mark.exists());
    gateway.stop().await;
}

#[tokio::test]
async fn many_streams_of_events_are_served_at_once() {
    let gateway = TestGateway::start().await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let events = gateway.request(Method::GET, "/api/events?topics=servers,system");
        let events = events.send().await.unwrap();
        assert_eq!(events.status().as_u16(), 200);
        streams.push(events);
    }
    assert_eq!(gateway.get("/api/servers").await.0, 200);
    drop(streams);
    let logs = (0..65).map(|number| format!("logs:00000000-0000-0000-0000-{number:012}"));
    let topics = logs.collect::<Vec<_>>().join(",");
    let found = gateway.get(&format!("/api/events?topics={topics}")).await;
    assert_eq!(problem(&found), (400, "invalid_request", vec!["topics"]));
    gateway.stop().await;
}

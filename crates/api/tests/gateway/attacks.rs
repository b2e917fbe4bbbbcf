//! Requests that no HTTP client sends: they reach neither a worker's other routes nor its headers, and take neither time nor
//! memory without limit.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mlxm_api::gateway::proxy::ProxyOptions;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{MODEL, Setup, TestGateway, catalog, request};
use crate::worker::{TestWorker, json as whole};

const CHAT: &str = "/v1/chat/completions";

/// Only reached if the gateway hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// Sends text as it is, and returns all that follows until the gateway closes the connection or `until` has arrived.
async fn raw(gateway: &TestGateway, text: &str, until: &str) -> String {
    let address = gateway.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may close the connection early.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let read = async {
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..count]);
            if String::from_utf8_lossy(&bytes).contains(until) {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The status of the response to a request without a body, or 0 if the connection is closed without one.
async fn status(gateway: &TestGateway, head: &str) -> u16 {
    let text = raw(gateway, &format!("{head}\r\n\r\n"), "\r\n\r\n").await;
    let status = text.split(' ').nth(1).unwrap_or("0");
    status.parse().unwrap()
}

#[tokio::test]
async fn every_form_of_naming_a_host_is_checked() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let gateway = Setup::default().start(&worker).await;
    for (head, expected) in [
        ("GET /v1/models HTTP/1.1\r\nHost: LOCALHOST:1", 200),
        (
            "GET http://127.0.0.1/v1/models HTTP/1.1\r\nHost: localhost",
            200,
        ),
        // Of a program, since browsers send a host.
        ("GET /v1/models HTTP/1.0", 200),
        ("GET /v1/models HTTP/1.0\r\nHost: evil.example", 403),
        (
            "GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost",
            403,
        ),
        (
            "GET http://localhost/v1/models HTTP/1.1\r\nHost: evil.example",
            403,
        ),
        ("GET /v1/models HTTP/1.1\r\nHost: localhost.", 403),
        (
            "GET /v1/models HTTP/1.1\r\nHost: evil.example@localhost",
            400,
        ),
        (
            "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
            400,
        ),
        (
            "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost",
            400,
        ),
        ("GET /v1/models HTTP/1.1\r\nHost: évil.example", 400),
        ("GET /v1/models HTTP/1.1\r\nHost:", 400),
        (
            "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: null",
            403,
        ),
        (
            "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\
             Origin: http://evil.example",
            403,
        ),
        (
            "OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\
             Access-Control-Request-Method: POST",
            403,
        ),
    ] {
        assert_eq!(status(&gateway, head).await, expected, "{head}");
    }
    for head in [
        "CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example:80",
        "CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80",
        "TRACE /v1/models HTTP/1.1\r\nHost: localhost",
        "OPTIONS * HTTP/1.1\r\nHost: localhost",
    ] {
        let found = status(&gateway, head).await;
        assert!(found == 0 || (400..500).contains(&found), "{found} {head}");
    }
}

#[tokio::test]
async fn body_cannot_hide_a_second_request() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let gateway = Setup::default().start(&worker).await;
    let body = request(false);
    // With both, the chunks count (RFC 9112, section 6.3).
    for framing in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        let text = format!(
            "POST {CHAT} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{:x};a=b\r\n{body}\r\n0\r\n\r\n\
             GET /internal/owner HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let text = raw(&gateway, &text, "\r\nnever").await;
        let statuses = text.matches("HTTP/1.1 ").count();
        assert!(statuses <= 2 && text.contains("200 OK"), "{text}");
    }
    let received = worker.received();
    assert_eq!(received.len(), 2, "{received:?}");
    for received in received {
        assert_eq!(received.uri.path(), CHAT);
        assert_eq!(received.body, body.as_bytes());
        let length = body.len().to_string();
        assert_eq!(received.header("content-length"), Some(&*length));
        assert_eq!(received.header("transfer-encoding"), None);
    }
}

#[tokio::test]
async fn requests_of_uncertain_length_are_rejected() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let gateway = Setup::default().start(&worker).await;
    for (version, framing) in [
        ("1.1", "Content-Length: 5\r\nContent-Length: 6"),
        ("1.1", "Content-Length: +5"),
        ("1.1", "Content-Length: -1"),
        ("1.1", "Content-Length: 5, 6"),
        ("1.1", "Content-Length: 0x5"),
        ("1.1", "Content-Length: 99999999999999999999999"),
        ("1.1", "Transfer-Encoding: gzip"),
        ("1.1", "Transfer-Encoding: xchunked"),
        ("1.1", "Transfer-Encoding: chunked, identity"),
        ("1.1", "Transfer-Encoding : chunked"),
        ("1.0", "Transfer-Encoding: chunked"),
        ("1.1", "Transfer-Encoding:\r\n chunked"),
        ("1.1", "X\0: 1\r\nContent-Length: 2"),
        ("1.1", "X: a\rTransfer-Encoding: chunked"),
    ] {
        let text = format!(
            "POST {CHAT} HTTP/{version}\r\nHost: localhost\r\n{framing}\r\nConnection: close\r\n\r\n{{}}\r\n0\r\n\r\n"
        );
        let text = raw(&gateway, &text, "\r\n\r\n").await;
        assert!(!text.contains("200 OK"), "{framing}: {text}");
    }
    for chunk in ["fffffffffffffffff\r\n", "-1\r\n", "x\r\n", "2\r\n{}xx"] {
        let text = format!(
            "POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
        );
        let text = raw(&gateway, &text, "\r\n\r\n").await;
        assert!(!text.contains("200 OK"), "{chunk}: {text}");
    }
    assert!(worker.received().is_empty());
}

#[tokio::test]
async fn neither_connection_nor_trailers_change_what_the_worker_gets() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let gateway = Setup::default().start(&worker).await;
    let body = request(false);
    let text = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: localhost\r\n\
         Connection: x-mlxm-defaults, authorization, te, x-mlxm-priority, x-mlxm-request-id, close\r\n\
         Authorization: Bearer of-the-client\r\nX-MLXM-Defaults: e30\r\nx-mlxm-priority: interactive\r\n\
         X-Mlxm-Request-Id: chosen\r\nTE: gzip\r\nUpgrade: h2c\r\nExpect: 100-continue\r\n\
         Trailer: x-mlxm-defaults, authorization\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\nx-mlxm-defaults: e30\r\nauthorization: Bearer in-a-trailer\r\n\r\n",
        body.len()
    );
    let text = raw(&gateway, &text, "\r\nnever").await;
    assert!(text.contains("HTTP/1.1 200 OK"), "{text}");
    let received = worker.received().remove(0);
    assert_eq!(received.body, body.as_bytes());
    for (name, expected) in [
        ("authorization", Some("Bearer worker-key")),
        ("x-mlxm-priority", Some("normal")),
        ("te", Some("trailers")),
        ("x-mlxm-defaults", None),
        ("connection", None),
        ("expect", None),
        ("trailer", None),
        ("transfer-encoding", None),
        ("upgrade", None),
    ] {
        assert_eq!(received.header(name), expected, "{name}");
    }
    assert_ne!(received.header("x-mlxm-request-id"), Some("chosen"));
}

#[tokio::test]
async fn names_of_models_are_never_paths() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let mut gateway = Setup::default().start(&worker).await;
    let long = "x".repeat(100_000);
    for name in [
        "../../etc/passwd",
        "/etc/passwd",
        "..\\..\\etc\\passwd",
        "%2e%2e%2fetc%2fpasswd",
        "org/model-4bit/../../../etc/passwd",
        "org/model-4bit\0",
        "file:///etc/passwd",
        "~/models",
        "$HOME",
        "\u{202e}tib4-ledom",
        "org／model-4bit",
        long.as_str(),
    ] {
        for route in [CHAT, "/v1/messages", "/tokenize"] {
            let (status, text) = gateway
                .text(route, json!({"model": name}).to_string())
                .await;
            assert!([400, 404].contains(&status), "{name}: {text}");
        }
    }
    for path in [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "%2fetc%2fpasswd",
        "org/model-4bit%00",
        "..%5c..%5cetc",
        "%ff%fe",
        &long[..8000],
    ] {
        for (method, prefix) in [
            ("GET", "/v1/models/"),
            ("GET", "/v1/responses/"),
            ("DELETE", "/v1/responses/"),
        ] {
            let head = format!("{method} {prefix}{path} HTTP/1.1\r\nHost: localhost");
            let found = status(&gateway, &head).await;
            assert!([400, 404, 405].contains(&found), "{found} {path}");
        }
    }
    assert!(worker.received().is_empty());
    assert!(gateway.targets.try_recv().is_err());
}

#[tokio::test]
async fn second_model_is_found_after_twenty_megabytes() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let setup = Setup {
        catalog: catalog(&[MODEL, "org/other"]),
        ..Setup::default()
    };
    let mut gateway = setup.start(&worker).await;
    let content = r#"a text with a quotation mark \" and a bracket {"#.repeat(500_000);
    let body =
        format!(r#"{{"model":"{MODEL}","messages":["{content}"],"mod\u0065l":"org/other"}}"#);
    assert!(body.len() > 20 << 20);
    let (status, text) = gateway.text(CHAT, body).await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("more than once"), "{text}");
    assert!(worker.received().is_empty());

    let nested =
        json!({"tools": [{"model": "org/other"}], "model": MODEL, "x": {"model": "org/other"}});
    assert_eq!(gateway.text(CHAT, nested.to_string()).await.0, 200);
    let (target, _) = gateway.targets.recv().await.unwrap();
    assert_eq!(target.model, MODEL);
}

#[tokio::test]
async fn large_slow_and_compressed_bodies_are_rejected_early() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let setup = Setup {
        options: ProxyOptions {
            body_bytes: 1000,
            body_pause: Duration::from_millis(200),
            ..ProxyOptions::default()
        },
        catalog: catalog(&[MODEL, "org/other"]),
        ..Setup::default()
    };
    let mut gateway = setup.start(&worker).await;
    let chunk = format!("258\r\n{}\r\n", " ".repeat(600));
    for (framing, body, expected) in [
        // Nothing is read of what is too large.
        ("Content-Length: 99999999999", String::new(), 413),
        ("Transfer-Encoding: chunked", chunk.repeat(2), 413),
        ("Content-Length: 100", "{".to_owned(), 408),
        ("Transfer-Encoding: chunked", "5\r\n{".to_owned(), 408),
    ] {
        let text = format!("POST {CHAT} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{body}");
        let text = raw(&gateway, &text, "\r\n\r\n").await;
        assert!(
            text.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{framing}: {text}"
        );
        assert_eq!(gateway.record().await.status, expected);
    }
    // Compressed data that would be large is never unpacked.
    let compressed = gateway.post(CHAT, vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    let response = compressed.header("content-encoding", "gzip").send().await;
    assert_eq!(response.unwrap().status().as_u16(), 400);
    assert!(worker.received().is_empty());
    assert_eq!(gateway.pool.leases.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn headers_have_a_limit() {
    let worker = TestWorker::start(|_| whole("{}")).await;
    let gateway = Setup::default().start(&worker).await;
    let start = "GET /v1/models HTTP/1.1\r\nHost: localhost";
    let many = "\r\nx-name: 1".repeat(1000);
    let large = format!("\r\nx-large: {}", "x".repeat(1 << 20));
    let long = format!(
        "GET /v1/models/{} HTTP/1.1\r\nHost: localhost",
        "x".repeat(1 << 17)
    );
    for head in [format!("{start}{many}"), format!("{start}{large}"), long] {
        let found = status(&gateway, &head).await;
        assert!([0, 400, 414, 431].contains(&found), "{found}");
    }
    assert_eq!(status(&gateway, start).await, 200);
}

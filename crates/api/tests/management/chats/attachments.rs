//! `/api/attachments`.

use data_encoding::BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestGateway, problem};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01";

async fn upload(gateway: &TestGateway, name: &str, content: &[u8]) -> (u16, Value) {
    let body = json!({"name": name, "data": BASE64.encode(content)});
    gateway.post("/api/attachments", body).await
}

#[tokio::test]
async fn content_is_stored_once_and_returned_without_being_run() {
    let gateway = TestGateway::start().await;
    let html = b"<script>alert(1)</script>";
    let (status, page) = upload(&gateway, "../page.html", html).await;
    assert_eq!(status, 201, "{page}");
    assert_eq!(
        (&page["name"], &page["kind"], &page["media_type"]),
        (&json!("page.html"), &json!("text"), &json!("text/html"))
    );
    assert_eq!(page["size_bytes"], html.len());
    let (status, image) = upload(&gateway, "dot.png", PNG).await;
    assert_eq!((status, &image["kind"]), (201, &json!("image")), "{image}");
    let (_, again) = upload(&gateway, "other.html", html).await;
    assert_eq!(again["hash"], page["hash"]);
    let (_, list) = gateway.get("/api/attachments").await;
    assert_eq!(list["attachments"].as_array().unwrap().len(), 2);
    assert_eq!(list["total_bytes"], html.len() + PNG.len());
    for (file, media_type, content) in [
        (&page, "text/plain; charset=utf-8", &html[..]),
        (&image, "image/png", PNG),
    ] {
        let path = format!("/api/attachments/{}", file["hash"].as_str().unwrap());
        let response = gateway.request(Method::GET, &path).send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(header("content-type"), media_type);
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; sandbox"
        );
        assert_eq!(response.bytes().await.unwrap(), content);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_attached_are_rejected_with_the_reason() {
    let gateway = TestGateway::start().await;
    for (name, content, reason) in [
        ("a.pdf", &b"%PDF-1.7\0"[..], "PDF"),
        ("a.zip", b"PK\x03\x04\0\0", "archive"),
        ("a.bin", b"\0\x01", "not text"),
        ("a.txt", b"", "empty"),
    ] {
        let response = upload(&gateway, name, content).await;
        assert_eq!(
            problem(&response),
            (400, "attachment_unsupported", vec!["data"])
        );
        let detail = response.1["detail"].as_str().unwrap();
        assert!(detail.contains(reason) && detail.contains(name), "{detail}");
    }
    let large = vec![b'a'; (20 << 20) + 1];
    let response = upload(&gateway, "large.txt", &large).await;
    assert_eq!(problem(&response), (413, "attachment_too_large", vec![]));
    let (status, list) = gateway.get("/api/attachments").await;
    assert_eq!((status, &list["file_limit_bytes"]), (200, &json!(20 << 20)));
    let fits = vec![b'a'; 20 << 20];
    assert_eq!(upload(&gateway, "fits.txt", &fits).await.0, 201);
    for (body, field) in [
        (json!({"name": "a", "data": "%"}), "data"),
        (json!({"name": "dir/", "data": "YQ=="}), "name"),
        (json!({"data": "YQ=="}), "name"),
    ] {
        let response = gateway.post("/api/attachments", body).await;
        assert_eq!(problem(&response), (400, "invalid_request", vec![field]));
    }
    for hash in [
        "0",
        &"0".repeat(64),
        &"F".repeat(64),
        "%00",
        "..%2F..%2Fetc%2Fpasswd",
    ] {
        let response = gateway.get(&format!("/api/attachments/{hash}")).await;
        assert_eq!(problem(&response), (404, "attachment_not_found", vec![]));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn file_that_is_stored_already_does_not_count_twice() {
    let gateway = TestGateway::start().await;
    let (status, first) = upload(&gateway, "a.txt", b"first").await;
    assert_eq!(status, 201, "{first}");
    // All that files may have together.
    gateway
        .sql("UPDATE attachments SET size_bytes = 4294967296")
        .await;
    let (status, again) = upload(&gateway, "b.txt", b"first").await;
    assert_eq!((status, &again["hash"]), (201, &first["hash"]), "{again}");
    let other = upload(&gateway, "b.txt", b"second").await;
    assert_eq!(problem(&other), (507, "attachments_full", vec![]));
    gateway.stop().await;
}

#[tokio::test]
async fn uploads_of_other_sites_are_rejected() {
    let gateway = TestGateway::start().await;
    let request = gateway
        .request(Method::POST, "/api/attachments")
        .header("content-type", "text/plain")
        .body(r#"{"name": "a", "data": "YQ=="}"#);
    let response = crate::support::response(request).await;
    assert_eq!(problem(&response).1, "unsupported_media_type");
    gateway.stop().await;
}

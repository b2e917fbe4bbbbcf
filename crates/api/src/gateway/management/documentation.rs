//! `GET /api/docs`: the OpenAPI document as a page. Its files are parts of the program, so it works without a network, and its
//! content security policy allows nothing else.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};

use crate::gateway::GatewayState;

/// The page loads its two files and the document, and nothing of other servers; it runs no script of its markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// The routes of this module. They are for people, and not in the document.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    let page = include_str!("documentation/page.html");
    let style = include_str!("documentation/page.css");
    let script = include_str!("documentation/page.js");
    vec![
        (
            "/api/docs",
            get(move || async move { file("text/html", page) }),
        ),
        (
            "/api/docs/page.css",
            get(move || async move { file("text/css", style) }),
        ),
        (
            "/api/docs/page.js",
            get(move || async move { file("text/javascript", script) }),
        ),
    ]
}

fn file(media_type: &str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, format!("{media_type}; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        // Another version of the program has another page at this address.
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, text).into_response()
}

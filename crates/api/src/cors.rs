//! Cross-origin requests of web pages.

use std::fmt;
use std::str::FromStr;

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::cors::{AllowHeaders, AllowMethods, Any, CorsLayer};

use crate::layers::REQUEST_ID;

/// An origin whose web pages may send requests, such as `http://localhost:3000`, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsOrigin(HeaderValue);

/// A text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an origin: write scheme, host and port, such as http://localhost:3000, or *")]
pub struct InvalidOrigin(String);

impl FromStr for CorsOrigin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        let value = HeaderValue::from_str(text).map_err(|_| invalid())?;
        let is_origin = text == "*" || {
            let parts = text.parse::<Uri>().map_err(|_| invalid())?.into_parts();
            let has_path =
                parts.path_and_query.is_some_and(|path| path != "/") || text.ends_with('/');
            parts.scheme.is_some() && parts.authority.is_some() && !has_path
        };
        is_origin.then_some(Self(value)).ok_or_else(invalid)
    }
}

impl fmt::Display for CorsOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An origin is ASCII.
        formatter.write_str(self.0.to_str().unwrap_or_default())
    }
}

impl CorsOrigin {
    /// Whether a page from `origin` is allowed.
    pub(crate) fn allows(&self, origin: &str) -> bool {
        self.0 == "*" || self.0 == origin
    }
}

/// The layer that allows `origins`, including their preflight requests; `None` without origins.
pub fn layer(origins: &[CorsOrigin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        // In a response, `*` does not stand for the header `authorization`.
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([REQUEST_ID, header::RETRY_AFTER, header::WARNING]);
    Some(if origins.iter().any(|origin| origin.0 == "*") {
        layer.allow_origin(Any)
    } else {
        let origins: Vec<HeaderValue> = origins.iter().map(|origin| origin.0.clone()).collect();
        layer.allow_origin(origins)
    })
}

/// Gives the empty response to a preflight request the status 204, which some proxies require.
pub async fn empty_preflight(request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = next.run(request).await;
    if is_preflight && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_has_scheme_host_and_optional_port() {
        for origin in [
            "*",
            "http://localhost:3000",
            "https://example.com",
            "tauri://localhost",
        ] {
            assert!(origin.parse::<CorsOrigin>().is_ok(), "{origin}");
        }
        for text in [
            "",
            "localhost",
            "localhost:3000",
            "http://localhost/",
            "http://localhost/app",
            "null\n",
        ] {
            assert!(text.parse::<CorsOrigin>().is_err(), "{text}");
        }
    }
}

//! Which requests may change something.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::gateway::extract::is_json;
use crate::gateway::problem::{ApiProblem, Code};

/// Rejects changes whose body is not declared as JSON. Browsers send other content types for the page of any site without
/// asking first. A request without a body has no content type; for those of browsers, the origin is checked.
pub async fn check_content_type(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if request.method().is_safe() || !has_body(headers) || is_json(headers) {
        return next.run(request).await;
    }
    ApiProblem::new(
        Code::UNSUPPORTED_MEDIA_TYPE,
        "the body of this request must be JSON",
    )
    .with_advice("send the header `content-type: application/json`")
    .into_response()
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_announced_by_headers() {
        let headers = |pairs: &[(header::HeaderName, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.clone(), value.parse().unwrap()));
            pairs.collect::<HeaderMap>()
        };
        assert!(!has_body(&headers(&[])));
        assert!(!has_body(&headers(&[(header::CONTENT_LENGTH, "0")])));
        assert!(has_body(&headers(&[(header::CONTENT_LENGTH, "2")])));
        assert!(has_body(&headers(&[(
            header::TRANSFER_ENCODING,
            "chunked"
        )])));
    }
}

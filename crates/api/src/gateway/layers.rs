//! Middleware of the gateway: which hosts, web pages and clients may use it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::access::AccessPolicy;
use crate::error::ApiError;
use crate::origin;

/// Headers that say that another program forwarded the request, in addition to those that begin with `x-forwarded-`.
const FORWARDING: [&str; 6] = [
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-real-ip",
];

/// Rejects requests for another host and those of web pages that are not allowed, also if they have the API key.
pub async fn check_host_and_origin(
    State(policy): State<Arc<AccessPolicy>>,
    request: Request,
    next: Next,
) -> Response {
    let checked = origin::check(&policy, &request, "")
        .and_then(|()| check_fetch_site(&policy, request.headers()));
    match checked {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// As [`check_host_and_origin`], but other sites may link to what is requested: a page that shows nothing of the gateway by itself,
/// and that no other page can embed.
pub async fn check_host_or_link(
    State(policy): State<Arc<AccessPolicy>>,
    request: Request,
    next: Next,
) -> Response {
    if is_link(request.headers()) {
        return match origin::check(&policy, &request, "") {
            Ok(()) => next.run(request).await,
            Err(error) => error.into_response(),
        };
    }
    check_host_and_origin(State(policy), request, next).await
}

/// Whether the browser opens the response as a page of its own.
fn is_link(headers: &HeaderMap) -> bool {
    let is = |name: &str, expected: &str| headers.get(name).is_some_and(|value| value == expected);
    is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

/// Browsers send no `Origin` with some requests, such as those for images, but say whether a foreign page sent them.
fn check_fetch_site(policy: &AccessPolicy, headers: &HeaderMap) -> Result<(), ApiError> {
    let is_own = |site: &HeaderValue| *site == "same-origin" || *site == "none";
    let mut sites = headers.get_all("sec-fetch-site").iter();
    // An origin has been checked.
    if sites.all(is_own) || headers.contains_key(header::ORIGIN) || origin::is_allowed(policy, "*")
    {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "requests of web pages from other sites are not allowed: start the server with --cors ORIGIN, and let the page send its \
         origin",
    ))
}

/// Requires the API key. Without one only programs on this machine may use the gateway; requests that came from elsewhere
/// through a proxy do not count as such.
pub async fn require_key_or_loopback(
    State(policy): State<Arc<AccessPolicy>>,
    request: Request,
    next: Next,
) -> Response {
    let checked = if policy.api_key.is_some() {
        policy.check_key(request.headers())
    } else {
        check_is_local(&request)
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Requires the owner's key, or a direct connection from this machine: without accounts, its user is the owner. The key of
/// clients does not allow it.
pub async fn require_owner(
    State(policy): State<Arc<AccessPolicy>>,
    request: Request,
    next: Next,
) -> Response {
    if policy.is_owner(request.headers()) || is_local(&request) {
        return next.run(request).await;
    }
    ApiError::forbidden(
        "the gateway is managed from its own machine: run `mlxm` there, or open its page through an SSH tunnel without a proxy",
    )
    .into_response()
}

fn is_local(request: &Request) -> bool {
    check_is_local(request).is_ok()
}

fn check_is_local(request: &Request) -> Result<(), ApiError> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let is_loopback = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    let mut names = request.headers().keys().map(HeaderName::as_str);
    let forwarded =
        names.find(|name| FORWARDING.contains(name) || name.starts_with("x-forwarded-"));
    let problem = match (is_loopback, forwarded) {
        (true, None) => return Ok(()),
        (true, Some(name)) => format!("it was forwarded, as its header {name} shows"),
        (false, _) => "it came from another machine".to_owned(),
    };
    Err(ApiError::forbidden(format!(
        "the request is not allowed without an API key, since {problem}: start the server with --api-key-file, and send the key"
    )))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(peer: Option<&str>, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::new(Body::empty());
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        if let Some(peer) = peer {
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        request
    }

    #[test]
    fn only_direct_connections_from_this_machine_are_local() {
        for peer in [
            "127.0.0.1:5",
            "127.9.9.9:5",
            "[::1]:5",
            "[::ffff:127.0.0.1]:5",
        ] {
            assert_eq!(check_is_local(&request(Some(peer), &[])), Ok(()), "{peer}");
        }
        for peer in [None, Some("10.0.0.1:5"), Some("[fe80::1]:5")] {
            assert!(check_is_local(&request(peer, &[])).is_err(), "{peer:?}");
        }
        let standard = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
        for name in FORWARDING.into_iter().chain(standard) {
            let forwarded = request(Some("127.0.0.1:5"), &[(name, "10.0.0.1")]);
            let message = check_is_local(&forwarded).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn requests_of_foreign_pages_without_an_origin_are_rejected() {
        let check = |policy: &AccessPolicy, site: &str, origin: Option<&str>| {
            let mut headers = vec![("sec-fetch-site", site)];
            headers.extend(origin.map(|origin| ("origin", origin)));
            check_fetch_site(policy, request(None, &headers).headers()).is_ok()
        };
        let policy = AccessPolicy::default();
        assert!(check(&policy, "same-origin", None));
        assert!(check(&policy, "none", None));
        assert!(!check(&policy, "cross-site", None));
        assert!(!check(&policy, "same-site", None));
        // Its origin has been checked.
        assert!(check(&policy, "cross-site", Some("http://allowed.example")));
        let open = AccessPolicy {
            cors_origins: vec!["*".parse().unwrap()],
            ..AccessPolicy::default()
        };
        assert!(check(&open, "cross-site", None));
    }
}

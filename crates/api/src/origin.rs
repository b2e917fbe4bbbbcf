//! Protection of a server without an API key from web pages that its user visits.
//!
//! A browser sends requests to loopback addresses for any page: "simple" ones without a preflight, and, if the page's host name
//! was rebound to 127.0.0.1, all of them with that name as `Host`. Programs that are not browsers send no `Origin`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::access::AccessPolicy;
use crate::error::ApiError;

/// Rejects requests for another host, and those of pages that are not allowed, on a server that listens on a loopback address
/// without an API key.
pub async fn check_without_key(
    State(policy): State<Arc<AccessPolicy>>,
    request: Request,
    next: Next,
) -> Response {
    if policy.api_key.is_none()
        && policy.loopback
        && let Err(error) = check(&policy, &request, ", or with an API key")
    {
        return error.into_response();
    }
    next.run(request).await
}

/// Checks the hosts that the request names, and the origin of the web page that sent it, if one did. `alternative` is a further
/// way to allow the request, for the message. A request that names no host is not one of a browser.
///
/// # Errors
/// Status 403, with the option that allows such requests; 400 if it cannot be told which host it is for.
pub fn check(policy: &AccessPolicy, request: &Request, alternative: &str) -> Result<(), ApiError> {
    let headers = request.headers();
    // Programs differ in which one they use.
    let target = request.uri().authority().map(Authority::as_str);
    for authority in target.into_iter().chain(single_host(headers)?) {
        check_host(policy, authority, alternative)?;
    }
    for origin in headers.get_all(header::ORIGIN) {
        let origin = readable(origin)?;
        if !is_allowed(policy, origin) && !is_same_origin(headers, origin) {
            return Err(ApiError::forbidden(format!(
                "requests of web pages from {origin} are not allowed: start the server with --cors {origin}{alternative}"
            )));
        }
    }
    Ok(())
}

/// The only `Host` header, if there is one.
fn single_host(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().map(readable).transpose()?;
    if hosts.next().is_some() {
        return Err(ApiError::invalid(
            "the request has several Host headers: send one",
        ));
    }
    Ok(host)
}

fn readable(value: &HeaderValue) -> Result<&str, ApiError> {
    value.to_str().map_err(|_| {
        ApiError::invalid("the header Host or Origin is not ASCII: send a name in its ASCII form")
    })
}

fn check_host(policy: &AccessPolicy, authority: &str, alternative: &str) -> Result<(), ApiError> {
    let Some(host) = host_name(authority) else {
        return Err(ApiError::invalid(
            "the request is not for a host: send a name or address, and a port if there is one",
        ));
    };
    let mut allowed = policy.allowed_hosts.iter();
    if is_loopback(&host)
        // A name can be made to resolve to any address, but an address cannot.
        || (!policy.loopback && is_address(&host))
        || allowed.any(|allowed| allowed.eq_ignore_ascii_case(&host))
    {
        return Ok(());
    }
    Err(ApiError::forbidden(format!(
        "requests to the host {host} are not allowed: start the server with --allowed-host {host}{alternative}"
    )))
}

/// Whether the policy lists the origin.
pub fn is_allowed(policy: &AccessPolicy, origin: &str) -> bool {
    let mut allowed = policy.cors_origins.iter();
    allowed.any(|allowed| allowed.allows(origin))
}

/// The host without the port; `None` if the text is something else, or has the name of a user.
fn host_name(authority: &str) -> Option<String> {
    let parsed: Authority = authority.parse().ok()?;
    (!authority.contains('@')).then(|| parsed.host().to_owned())
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || address(host).is_some_and(|address| address.is_loopback())
}

fn is_address(host: &str) -> bool {
    address(host).is_some()
}

/// The address in a host, if it is not a name.
fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// Whether the page comes from this server.
fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    let host = headers.get(header::HOST);
    origin
        .strip_prefix("http://")
        .is_some_and(|authority| host.is_some_and(|host| host == authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, headers: &[(&str, &[u8])]) -> Request {
        let mut request = Request::new(axum::body::Body::empty());
        *request.uri_mut() = target.parse().unwrap();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append(name, value);
        }
        request
    }

    /// The status with which a server on a loopback address rejects a request.
    fn rejected(target: &str, headers: &[(&str, &[u8])]) -> Option<u16> {
        let policy = AccessPolicy {
            loopback: true,
            ..AccessPolicy::default()
        };
        let checked = check(&policy, &request(target, headers), "");
        checked.err().map(|error| error.status().as_u16())
    }

    #[test]
    fn every_host_that_a_request_names_is_checked() {
        for (target, host, expected) in [
            ("/", "127.0.0.1:8080", None),
            ("/", "LocalHost:8080", None),
            ("http://127.0.0.1/", "127.0.0.1", None),
            // Each of the two is the one that counts for some program.
            ("http://127.0.0.1/", "evil.example", Some(403)),
            ("http://evil.example/", "127.0.0.1", Some(403)),
            ("http://localhost@evil.example/", "127.0.0.1", Some(400)),
            ("/", "evil.example@localhost", Some(400)),
            ("/", "localhost@evil.example", Some(400)),
            ("/", "localhost.", Some(403)),
            ("/", "127.0.0.1.", Some(403)),
            ("/", "0.0.0.0:8080", Some(403)),
            ("/", "2130706433", Some(403)),
            ("/", "0x7f.1", Some(403)),
            ("/", "[::1]:8080", None),
            ("/", "localhost evil.example", Some(400)),
            ("/", "localhost/evil.example", Some(400)),
            ("/", "localhost:1:2", Some(400)),
            ("/", "", Some(400)),
        ] {
            let found = rejected(target, &[("host", host.as_bytes())]);
            assert_eq!(found, expected, "{target} {host}");
        }
        for host in [
            "[::1%25lo]:8080",
            "[127.0.0.1]",
            "[::ffff:10.0.0.1]",
            "[::1",
            ":8080",
        ] {
            let found = rejected("/", &[("host", host.as_bytes())]);
            assert!(found.is_some(), "{host}");
        }
        assert_eq!(rejected("/", &[]), None);
        assert_eq!(rejected("/", &[("host", b"evil\xff.example")]), Some(400));
        let host = ("host", "localhost".as_bytes());
        assert_eq!(rejected("/", &[host, host]), Some(400));
    }

    #[test]
    fn every_origin_is_checked() {
        let from = |origins: &[&[u8]]| {
            let mut headers = vec![("host", "localhost:8080".as_bytes())];
            headers.extend(origins.iter().map(|origin| ("origin", *origin)));
            rejected("/", &headers)
        };
        for (origin, expected) in [
            ("http://localhost:8080", None),
            ("null", Some(403)),
            ("http://localhost:3000", Some(403)),
            ("https://localhost:8080", Some(403)),
            ("http://localhost:8080.evil.example", Some(403)),
            ("http://localhost:8080@evil.example", Some(403)),
            ("", Some(403)),
        ] {
            assert_eq!(from(&[origin.as_bytes()]), expected, "{origin}");
        }
        assert_eq!(from(&[b"http://\xff"]), Some(400));
        let own = "http://localhost:8080".as_bytes();
        assert_eq!(from(&[own, b"http://evil.example"]), Some(403));
    }

    #[test]
    fn servers_of_other_machines_are_named_by_address_or_by_a_listed_name() {
        let check = |loopback: bool, host: &str| {
            let policy = AccessPolicy {
                loopback,
                allowed_hosts: vec!["studio.local".to_owned()],
                ..AccessPolicy::default()
            };
            let mut request = Request::new(axum::body::Body::empty());
            let value = host.parse().unwrap();
            request.headers_mut().insert(header::HOST, value);
            check(&policy, &request, "").is_ok()
        };
        for host in ["192.168.1.5:8080", "[fe80::1]:8080"] {
            assert!(check(false, host), "{host}");
            assert!(!check(true, host), "{host}");
        }
        assert!(check(false, "Studio.local:8080"));
        assert!(!check(false, "192.168.1.5.nip.io:8080"));
    }

    #[test]
    fn loopback_hosts_have_any_port() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:80",
            "127.8.0.1",
            "[::1]:8080",
        ] {
            assert!(
                host_name(host).is_some_and(|host| is_loopback(&host)),
                "{host}"
            );
        }
        for host in [
            "example.com",
            "localhost.example.com",
            "127.0.0.1.nip.io",
            "10.0.0.1:80",
        ] {
            assert!(
                host_name(host).is_some_and(|host| !is_loopback(&host)),
                "{host}"
            );
        }
    }
}

//! Protection of a server without an API key from web pages that its user visits.
//!
//! A browser sends requests to loopback addresses for any page: "simple" ones without a preflight, and, if the page's host name
//! was rebound to 127.0.0.1, all of them with that name as `Host`. Programs that are not browsers send no `Origin`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
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

/// Checks the host that the request was sent to, and the origin of the web page that sent it, if one did. `alternative` is a
/// further way to allow the request, for the message.
///
/// # Errors
/// Status 403, with the option that allows such requests.
pub fn check(policy: &AccessPolicy, request: &Request, alternative: &str) -> Result<(), ApiError> {
    let headers = request.headers();
    let host = request
        .uri()
        .host()
        .map(str::to_owned)
        .or_else(|| host_name(text(headers, &header::HOST)?));
    if let Some(host) = host
        && !is_loopback(&host)
        && !policy
            .allowed_hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(&host))
    {
        return Err(ApiError::forbidden(format!(
            "requests to the host {host} are not allowed: start the server with --allowed-host {host}{alternative}"
        )));
    }
    if let Some(origin) = text(headers, &header::ORIGIN)
        && !is_allowed(policy, origin)
        && !is_same_origin(headers, origin)
    {
        return Err(ApiError::forbidden(format!(
            "requests of web pages from {origin} are not allowed: start the server with --cors {origin}{alternative}"
        )));
    }
    Ok(())
}

/// Whether the policy lists the origin.
pub fn is_allowed(policy: &AccessPolicy, origin: &str) -> bool {
    let mut allowed = policy.cors_origins.iter();
    allowed.any(|allowed| allowed.allows(origin))
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The name in a `Host` header, without the port.
fn host_name(host: &str) -> Option<String> {
    let uri: Uri = format!("http://{host}/").parse().ok()?;
    uri.host().map(str::to_owned)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether the page comes from this server.
fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    let host = text(headers, &header::HOST);
    origin
        .strip_prefix("http://")
        .is_some_and(|authority| host == Some(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

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

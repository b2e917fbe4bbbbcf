//! Protection of a server without an API key from web pages that its user visits.
//!
//! A browser sends requests to loopback addresses for any page: "simple" ones without a preflight, and, if the page's host name
//! was rebound to 127.0.0.1, all of them with that name as `Host`. Programs that are not browsers send no `Origin`.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::error::ApiError;
use crate::state::AppState;

/// Rejects requests for another host, and those of pages that are not allowed, on a server that listens on a loopback address
/// without an API key.
pub async fn check(State(server): State<AppState>, request: Request, next: Next) -> Response {
    let options = server.options();
    if options.api_key.is_some() || !options.loopback {
        return next.run(request).await;
    }
    let host = request
        .uri()
        .host()
        .map(str::to_owned)
        .or_else(|| host_name(text(&request, &header::HOST)?));
    if let Some(host) = host
        && !is_loopback(&host)
        && !options
            .allowed_hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(&host))
    {
        let message = format!(
            "requests to the host {host} are not allowed: start the server with --allowed-host {host}, or with an API key"
        );
        return ApiError::forbidden(message).into_response();
    }
    if let Some(origin) = text(&request, &header::ORIGIN)
        && !options
            .cors_origins
            .iter()
            .any(|allowed| allowed.allows(origin))
        && !is_same_origin(&request, origin)
    {
        let message = format!(
            "requests of web pages from {origin} are not allowed: start the server with --cors {origin}, or with an API key"
        );
        return ApiError::forbidden(message).into_response();
    }
    next.run(request).await
}

fn text<'a>(request: &'a Request, name: &header::HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
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
fn is_same_origin(request: &Request, origin: &str) -> bool {
    let host = text(request, &header::HOST);
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

//! Which headers pass between clients and workers.

use axum::http::{HeaderMap, HeaderName, header};

/// Headers about one connection (RFC 9110, section 7.6.1), in addition to those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Headers of requests that are meant for the gateway: credentials, the name it was called by, and how the body was framed.
const FOR_GATEWAY: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::COOKIE,
    header::EXPECT,
    header::HOST,
    header::ORIGIN,
    HeaderName::from_static("x-api-key"),
];

/// Prefix of the headers between gateway and worker.
const INTERNAL: &str = "x-mlxm-";

/// The headers of a client's request that a worker gets.
pub fn for_worker(mut headers: HeaderMap) -> HeaderMap {
    remove_internal(&mut headers);
    for name in FOR_GATEWAY {
        headers.remove(name);
    }
    headers
}

/// The headers of a worker's response that a client gets.
pub fn for_client(mut headers: HeaderMap) -> HeaderMap {
    remove_internal(&mut headers);
    headers
}

/// Removes the headers of the connection and those between gateway and worker.
fn remove_internal(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    let internal: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(INTERNAL))
        .cloned()
        .collect();
    for name in HOP_BY_HOP.into_iter().chain(named).chain(internal) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn worker_gets_neither_credentials_nor_headers_of_the_connection() {
        let passed = for_worker(headers(&[
            ("host", "gateway.example"),
            ("Authorization", "Bearer secret"),
            ("x-api-key", "secret"),
            ("cookie", "session=1"),
            ("X-MLXM-Defaults", "e30"),
            ("x-mlxm-priority", "interactive"),
            ("connection", "close, X-First"),
            ("connection", "\tx-second ,,bad name"),
            ("x-first", "1"),
            ("x-second", "2"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("expect", "100-continue"),
            ("upgrade", "websocket"),
            ("content-type", "application/json"),
            ("x-request-id", "req_1"),
            ("traceparent", "00-1-2-01"),
            ("anthropic-version", "2023-06-01"),
        ]));
        assert_eq!(
            names(&passed),
            [
                "anthropic-version",
                "content-type",
                "traceparent",
                "x-request-id"
            ]
        );
    }

    #[test]
    fn client_gets_nothing_between_gateway_and_worker() {
        let passed = for_client(headers(&[
            ("content-type", "text/event-stream"),
            ("trailer", "x-mlxm-usage"),
            ("x-mlxm-usage", "{}"),
            ("transfer-encoding", "chunked"),
            ("connection", "x-hidden"),
            ("x-hidden", "1"),
            ("warning", "299 - \"x\""),
            ("warning", "299 - \"y\""),
        ]));
        assert_eq!(names(&passed), ["content-type", "warning"]);
        assert_eq!(passed.get_all("warning").iter().count(), 2);
    }
}

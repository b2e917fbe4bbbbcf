//! HTTP client with streaming responses.

use std::error::Error;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, Url, redirect};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

use super::error::RemoteError;
use super::events::Decoder;

const USER_AGENT: &str = concat!("mlxm/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server, for callers without a runtime. Calls may come from several threads.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    /// Ends in a slash; routes are below it.
    base: Url,
}

impl Client {
    /// Of the server at `url`, with or without `/v1` at its end. Nothing is sent yet.
    pub fn new(url: &str, key: Option<String>) -> Result<Self, RemoteError> {
        let base = parse(url)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| RemoteError::InvalidKey)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            // An API does not move: a redirect is a wrong address, and the key is for this one.
            .redirect(redirect::Policy::none());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let unreachable = |reason: String| RemoteError::Unreachable {
            url: shown(&base),
            reason,
        };
        let http = builder
            .build()
            .map_err(|error| unreachable(describe(&error)))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| unreachable(error.to_string()))?;
        Ok(Self {
            runtime,
            http,
            base,
        })
    }

    /// The server's address for messages.
    pub fn url(&self) -> String {
        shown(&self.base)
    }

    /// The JSON at `route`.
    pub fn get(&self, route: &str) -> Result<Value, RemoteError> {
        let request = self.http.get(self.address(route));
        let url = self.url();
        self.runtime.block_on(async {
            let response = send(&url, request).await?;
            let body = response
                .bytes()
                .await
                .map_err(|error| RemoteError::Cut(describe(&error)))?;
            serde_json::from_slice(&body).map_err(|error| RemoteError::Malformed {
                url,
                expected: "JSON",
                reason: error.to_string(),
            })
        })
    }

    /// Sends `body` to `route` and returns immediately; events are received through the stream.
    pub fn stream(&self, route: &str, body: &Value) -> Stream {
        let request = self.http.post(self.address(route)).json(body);
        let (sender, receiver) = channel();
        let url = self.url();
        let sent = Instant::now();
        let task = self.runtime.spawn(async move {
            if let Err(error) = forward(&url, request, &sender).await {
                // The receiver is gone if the stream was dropped.
                let _ = sender.send(Err(error));
            }
        });
        Stream {
            sent,
            receiver,
            task: task.abort_handle(),
        }
    }

    fn address(&self, route: &str) -> String {
        format!("{}{route}", self.base)
    }
}

/// A streaming response. Dropping it closes the connection, which cancels the request.
#[derive(Debug)]
pub struct Stream {
    sent: Instant,
    receiver: Receiver<Result<StreamItem, RemoteError>>,
    task: AbortHandle,
}

/// An item of a stream.
#[derive(Debug)]
pub enum StreamItem {
    /// The `warning` header of a successful response.
    Warning(String),
    /// The data of an event and its arrival time.
    Event(String, Instant),
}

/// The next part of a stream.
#[derive(Debug)]
pub enum Next {
    /// An item was received.
    Item(StreamItem),
    /// Timed out; the stream continues.
    Pending,
    /// The response is complete.
    Ended,
}

impl Stream {
    /// The next part, or the failure that ends the stream.
    pub fn next_timeout(&self, timeout: Duration) -> Result<Next, RemoteError> {
        match self.receiver.recv_timeout(timeout) {
            Ok(item) => item.map(Next::Item),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Pending),
            Err(RecvTimeoutError::Disconnected) => Ok(Next::Ended),
        }
    }

    /// When the request was sent.
    pub fn sent(&self) -> Instant {
        self.sent
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    url: &str,
    request: RequestBuilder,
    sender: &Sender<Result<StreamItem, RemoteError>>,
) -> Result<(), RemoteError> {
    let mut response = send(url, request).await?;
    if let Some(warning) = response
        .headers()
        .get("warning")
        .and_then(|value| value.to_str().ok())
    {
        let _ = sender.send(Ok(StreamItem::Warning(warning.to_owned())));
    }
    let mut decoder = Decoder::default();
    while let Some(bytes) = response
        .chunk()
        .await
        .map_err(|error| RemoteError::Cut(describe(&error)))?
    {
        let at = Instant::now();
        for data in decoder.push(&bytes) {
            let _ = sender.send(Ok(StreamItem::Event(data, at)));
        }
    }
    Ok(())
}

/// Sends a request; a status other than success is an error.
async fn send(url: &str, request: RequestBuilder) -> Result<Response, RemoteError> {
    let response = request
        .send()
        .await
        .map_err(|error| RemoteError::Unreachable {
            url: url.to_owned(),
            reason: describe(&error),
        })?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let header = |name| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let retry_after = header(RETRY_AFTER);
    if let Some(location) = header(reqwest::header::LOCATION).filter(|_| status.is_redirection()) {
        let message = format!("it moved to {location}: give that address");
        return Err(RemoteError::Refused {
            status: status.as_u16(),
            message,
            retry_after,
        });
    }
    let body = response.text().await.unwrap_or_default();
    Err(RemoteError::refused(status.as_u16(), retry_after, &body))
}

/// The address that routes are below.
fn parse(text: &str) -> Result<Url, RemoteError> {
    let invalid = |reason: &str| RemoteError::InvalidUrl {
        url: text.to_owned(),
        reason: reason.to_owned(),
    };
    let text = text.trim();
    let url = if text.contains("://") {
        Url::parse(text)
    } else {
        Url::parse(&format!("http://{text}"))
    };
    let mut url = url.map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("it is neither http nor https"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it has more than a path behind the host"));
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path);
    url.set_path(&format!("{path}/"));
    Ok(url)
}

fn shown(base: &Url) -> String {
    let mut url = base.clone();
    // An address may carry a password.
    let _ = url.set_password(None);
    url.as_str().trim_end_matches('/').to_owned()
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The innermost cause, which is what the system said; the layers above repeat the address.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for text in [
            "http://127.0.0.1:8080",
            "127.0.0.1:8080",
            " http://127.0.0.1:8080/ ",
            "http://127.0.0.1:8080/v1",
            "http://127.0.0.1:8080/v1/",
        ] {
            let url = parse(text).unwrap();
            assert_eq!(url.as_str(), "http://127.0.0.1:8080/", "{text}");
            assert!(is_loopback(&url));
        }
        let behind = parse("https://name.example/models/x/v1").unwrap();
        assert_eq!(behind.as_str(), "https://name.example/models/x/");
        assert!(!is_loopback(&behind));
        assert!(is_loopback(&parse("http://[::1]:80").unwrap()));
        assert!(is_loopback(&parse("localhost:1234").unwrap()));
        for text in ["", "ftp://host", "http://", "http://host/?a=b"] {
            assert!(
                matches!(parse(text), Err(RemoteError::InvalidUrl { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let url = parse("http://me:secret@host:1/").unwrap();
        assert!(!shown(&url).contains("secret"));
    }
}

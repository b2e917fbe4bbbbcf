//! HTTP client with streaming responses.

use std::error::Error;
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use eventsource_stream::{EventStreamError, Eventsource as _};
use futures_util::StreamExt as _;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, Url, redirect};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

use super::error::RemoteError;

const USER_AGENT: &str = concat!("mlxm/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A blocking client for one server, with its own runtime. It can be shared between threads.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    /// Ends in a slash; routes are appended.
    base: Url,
}

impl Client {
    /// A client for the server at `url`, with or without a trailing `/v1`. Does not connect yet.
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
            // A redirect means that the URL is wrong, and the key must not be sent to another server.
            .redirect(redirect::Policy::none());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let unreachable = |reason: String| RemoteError::Unreachable {
            url: display_url(&base),
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

    /// The URL of the server for messages, without a password.
    pub fn url(&self) -> String {
        display_url(&self.base)
    }

    /// Fetches JSON from `route`.
    pub fn get(&self, route: &str) -> Result<Value, RemoteError> {
        self.send(Method::GET, route, None, None)
    }

    /// Sends a request and returns the JSON of its response, `null` for an empty one. `timeout` is for the whole response.
    pub fn send(
        &self,
        method: Method,
        route: &str,
        body: Option<&Value>,
        timeout: Option<Duration>,
    ) -> Result<Value, RemoteError> {
        let mut request = self.request(method, route, body);
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        let url = self.url();
        self.runtime.block_on(async {
            let response = send(&url, request).await?;
            let body = response
                .bytes()
                .await
                .map_err(|error| RemoteError::Truncated(describe(&error)))?;
            if body.is_empty() {
                return Ok(Value::Null);
            }
            serde_json::from_slice(&body).map_err(|error| RemoteError::Malformed {
                url,
                expected: "JSON",
                reason: error.to_string(),
            })
        })
    }

    /// Writes the response of `route` to `target` as it arrives.
    pub fn copy(&self, route: &str, target: &mut dyn Write) -> anyhow::Result<()> {
        let request = self.request(Method::GET, route, None);
        let url = self.url();
        self.runtime.block_on(async {
            let mut chunks = send(&url, request).await?.bytes_stream();
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|error| RemoteError::Truncated(describe(&error)))?;
                target.write_all(&chunk)?;
            }
            target.flush()?;
            Ok(())
        })
    }

    /// Receives the events of `route`. When it returns, the server has subscribed: later events are not missed.
    pub fn events(&self, route: &str) -> Result<Stream, RemoteError> {
        let request = self.request(Method::GET, route, None);
        let response = self.runtime.block_on(send(&self.url(), request))?;
        Ok(self.receive(async { Ok(response) }))
    }

    /// Sends `body` to `route` and returns immediately; events are received through the stream.
    pub fn stream(&self, route: &str, body: &Value) -> Stream {
        let request = self.request(Method::POST, route, Some(body));
        let url = self.url();
        self.receive(async move { send(&url, request).await })
    }

    fn receive(
        &self,
        response: impl Future<Output = Result<Response, RemoteError>> + Send + 'static,
    ) -> Stream {
        let (sender, receiver) = channel();
        let url = self.url();
        let sent = Instant::now();
        let task = self.runtime.spawn(async move {
            if let Err(error) = forward(&url, response, &sender).await {
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

    /// A request. One that changes something has a JSON body, which servers demand as a protection from web pages.
    fn request(&self, method: Method, route: &str, body: Option<&Value>) -> RequestBuilder {
        let changes = !method.is_safe();
        let request = self.http.request(method, self.endpoint(route));
        match body {
            Some(body) => request.json(body),
            None if changes => request.json(&json!({})),
            None => request,
        }
    }

    fn endpoint(&self, route: &str) -> String {
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

/// The result of waiting for a stream item.
#[derive(Debug)]
pub enum StreamPoll {
    /// An item was received.
    Item(StreamItem),
    /// Timed out; the stream continues.
    Pending,
    /// The response is complete.
    Closed,
}

impl Stream {
    /// Waits for the next item. An error ends the stream.
    pub fn next_timeout(&self, timeout: Duration) -> Result<StreamPoll, RemoteError> {
        match self.receiver.recv_timeout(timeout) {
            Ok(item) => item.map(StreamPoll::Item),
            Err(RecvTimeoutError::Timeout) => Ok(StreamPoll::Pending),
            Err(RecvTimeoutError::Disconnected) => Ok(StreamPoll::Closed),
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
    response: impl Future<Output = Result<Response, RemoteError>>,
    sender: &Sender<Result<StreamItem, RemoteError>>,
) -> Result<(), RemoteError> {
    let response = response.await?;
    if let Some(warning) = response
        .headers()
        .get("warning")
        .and_then(|value| value.to_str().ok())
    {
        let _ = sender.send(Ok(StreamItem::Warning(warning.to_owned())));
    }
    let mut events = response.bytes_stream().eventsource();
    while let Some(event) = events.next().await {
        let event = event.map_err(|error| match error {
            EventStreamError::Transport(error) => RemoteError::Truncated(describe(&error)),
            error => RemoteError::Malformed {
                url: url.to_owned(),
                expected: "server-sent events",
                reason: error.to_string(),
            },
        })?;
        let _ = sender.send(Ok(StreamItem::Event(event.data, Instant::now())));
    }
    Ok(())
}

/// Sends a request; an error status is an error.
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
        let message = format!("it moved to {location}; use that URL");
        return Err(RemoteError::Status {
            status: status.as_u16(),
            message,
            retry_after,
        });
    }
    let body = response.text().await.unwrap_or_default();
    Err(RemoteError::from_response(
        status.as_u16(),
        retry_after,
        &body,
    ))
}

/// Parses the base URL.
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
        return Err(invalid("the scheme must be http or https"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("a query or fragment is not allowed"));
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path);
    url.set_path(&format!("{path}/"));
    Ok(url)
}

/// The URL that [`Client::url`] returns for the server at `url`.
pub fn base_url(url: &str) -> Result<String, RemoteError> {
    Ok(display_url(&parse(url)?))
}

fn display_url(base: &Url) -> String {
    let mut url = base.clone();
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

/// The innermost cause, such as the OS error; the outer errors repeat the URL.
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
    fn parse_accepts_common_spellings_of_urls() {
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
        let with_path = parse("https://name.example/models/x/v1").unwrap();
        assert_eq!(with_path.as_str(), "https://name.example/models/x/");
        assert!(!is_loopback(&with_path));
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
    fn display_url_removes_the_password() {
        let url = parse("http://me:secret@host:1/").unwrap();
        assert!(!display_url(&url).contains("secret"));
    }
}

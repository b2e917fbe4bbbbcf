//! HTTP servers in place of workers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use axum::response::Response;
use axum::{BoxError, Router};
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use mlxm_api::RequestUsage;
use tokio::net::TcpListener;

/// The result of each poll of a body.
pub type FrameResult = Result<Frame<Bytes>, BoxError>;

/// Sets a flag when it is dropped, such as with the body that owns it.
pub struct SetOnDrop(pub Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A request as the worker got it.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A worker that returns the same kind of response to every request.
pub struct TestWorker {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl TestWorker {
    /// Starts a worker with this response.
    pub async fn start(
        respond: impl Fn(&Received) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = received.clone();
        let handler = move |request: Request| {
            let (respond, log) = (respond.clone(), log.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let received = Received {
                    method: parts.method,
                    uri: parts.uri,
                    headers: parts.headers,
                    body,
                };
                let response = respond(&received);
                log.lock().unwrap().push(received);
                response
            }
        };
        let address = serve(Router::new().fallback(handler)).await;
        Self { address, received }
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// Serves a router on a free port.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an item of a stream that can fail"
)]
pub fn data(text: &str) -> FrameResult {
    Ok(Frame::data(Bytes::copy_from_slice(text.as_bytes())))
}

/// The trailers of a stream.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an item of a stream that can fail"
)]
pub fn trailers(usage: &RequestUsage) -> FrameResult {
    let mut trailers = HeaderMap::new();
    let json = serde_json::to_string(usage).unwrap();
    trailers.insert("x-mlxm-usage", json.parse().unwrap());
    Ok(Frame::trailers(trailers))
}

/// These frames of a worker that dies after it has sent them.
pub fn dying(frames: Vec<FrameResult>) -> impl Stream<Item = FrameResult> + Send + 'static {
    let death = stream::once(async {
        // An error at once would discard what the connection has buffered.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err("the worker was killed".into())
    });
    stream::iter(frames).chain(death)
}

pub fn response(headers: &[(&str, &str)], body: Body) -> Response {
    let mut response = Response::new(body);
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

/// A stream of events.
pub fn events(frames: impl Stream<Item = FrameResult> + Send + 'static) -> Response {
    let headers = [
        ("content-type", "text/event-stream"),
        ("trailer", "x-mlxm-usage"),
    ];
    response(&headers, Body::new(StreamBody::new(frames)))
}

/// A stream of these frames.
pub fn event_list(frames: Vec<FrameResult>) -> Response {
    events(stream::iter(frames))
}

/// A whole body.
pub fn json(text: &str) -> Response {
    response(
        &[("content-type", "application/json")],
        Body::from(text.to_owned()),
    )
}

//! Connections of clients: no more than the process can open files for, and none that waits for a client without end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mlxm_gateway::max_open_files;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::serve::send_at_once;

/// Open files that the process is assumed to be allowed, if the system does not say.
const DEFAULT_OPEN_FILES: u64 = 1024;
/// Files for everything else: the database, logs, downloads, and pipes of workers.
const OTHER_FILES: u64 = 128;
/// Each request may need a connection to a worker, too.
const FILES_PER_CONNECTION: u64 = 2;
/// Time for the headers of a request, which begins when the last response has ended or the connection is opened.
const HEADER_TIMEOUT: Duration = Duration::from_mins(1);

/// Limits of all listeners of a gateway; clones share them.
#[derive(Debug, Clone)]
pub struct Connections {
    permits: Arc<Semaphore>,
    builder: Builder,
}

impl Default for Connections {
    /// As many as the process may open files for, and a minute for headers.
    fn default() -> Self {
        let files = max_open_files().unwrap_or(DEFAULT_OPEN_FILES);
        let connections = files.saturating_sub(OTHER_FILES) / FILES_PER_CONNECTION;
        Self::new(connections.clamp(32, 4096) as usize, HEADER_TIMEOUT)
    }
}

impl Connections {
    fn new(most: usize, header_timeout: Duration) -> Self {
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout);
        Self {
            permits: Arc::new(Semaphore::new(most)),
            builder,
        }
    }

    /// Serves the connections of a listener with HTTP/1, with the addresses of the clients. Connections over the limit wait
    /// until others are closed. Those that are open continue when the future is dropped.
    pub async fn serve(self, mut listener: TcpListener, router: Router) -> Infallible {
        loop {
            // The semaphore is never closed.
            let permit = self.permits.clone().acquire_owned().await.ok();
            let (stream, peer) = Listener::accept(&mut listener).await;
            send_at_once(&stream);
            let connection = self
                .builder
                .serve_connection(TokioIo::new(stream), service_for(router.clone(), peer));
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::trace!(%peer, %error, "a connection was closed early");
                }
                drop(permit);
            });
        }
    }
}

/// The routes for the client at `peer`.
fn service_for(
    router: Router,
    peer: SocketAddr,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = axum::response::Response,
    Error = Infallible,
    Future: Send,
> + Send {
    service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    })
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    /// Only reached if a connection hangs.
    const DEADLINE: Duration = Duration::from_secs(20);

    async fn start(connections: Connections) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
        let router = Router::new().route("/", get(peer));
        tokio::spawn(connections.serve(listener, router));
        address
    }

    async fn send(stream: &mut TcpStream, text: &str) {
        stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// All that the server sends until it closes the connection.
    async fn read(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        let end = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await;
        // It may reset the connection.
        let _ = end.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn connection_whose_headers_do_not_arrive_is_closed() {
        let address = start(Connections::new(10, Duration::from_millis(50))).await;
        for part in ["", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            send(&mut stream, part).await;
            let text = read(&mut stream).await;
            assert!(!text.contains("200 OK"), "{text}");
        }
        // Also between two requests.
        let mut stream = TcpStream::connect(address).await.unwrap();
        let own = stream.local_addr().unwrap().to_string();
        send(&mut stream, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let text = read(&mut stream).await;
        assert!(text.contains("200 OK") && text.ends_with(&own), "{text}");
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait_for_others() {
        let connections = Connections::new(2, HEADER_TIMEOUT);
        let permits = connections.permits.clone();
        let address = start(connections).await;
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let idle = [
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        ];
        let accepted = async {
            while permits.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, accepted).await.unwrap();
        let mut waiting = TcpStream::connect(address).await.unwrap();
        send(&mut waiting, request).await;
        let mut byte = [0];
        let early = timeout(Duration::from_millis(100), waiting.read(&mut byte)).await;
        assert!(early.is_err(), "a third connection was served");
        drop(idle);
        assert!(read(&mut waiting).await.contains("200 OK"));
    }

    #[tokio::test]
    async fn other_versions_of_http_are_rejected() {
        let address = start(Connections::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        send(&mut stream, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let text = read(&mut stream).await;
        assert!(!text.contains(" 200 "), "{text}");
    }
}

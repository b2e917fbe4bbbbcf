//! Runs the routes on a listener, with graceful shutdown.

use std::io;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::routes::router;
use crate::state::AppState;

/// Starts the shutdown of a running server. Clones refer to the same server.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::channel(false).0)
    }
}

impl Shutdown {
    /// Starts the shutdown: new requests are rejected, and the server exits after the running ones.
    pub fn start(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn started(&self) {
        let mut receiver = self.0.subscribe();
        // The sender is `self`, so the channel stays open.
        let _ = receiver.wait_for(|started| *started).await;
    }
}

/// Time that idle connections get to close.
const CLOSING: Duration = Duration::from_secs(1);

/// Serves until `shutdown` has started and all requests are complete, at most `timeout` after its start; requests that are
/// still running then are cancelled. During the shutdown new requests get status 503, and `/health` reports it. Returns
/// whether all requests were completed.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    server: AppState,
    shutdown: Shutdown,
    timeout: Duration,
) -> io::Result<bool> {
    let closing = Shutdown::default();
    let closed = closing.clone();
    let listener = listener.tap_io(|stream| send_at_once(stream));
    let running = axum::serve(listener, router(server.clone()))
        .with_graceful_shutdown(async move { closed.started().await });
    let draining = async {
        shutdown.started().await;
        server.start_draining();
        let complete = tokio::time::timeout(timeout, server.wait_until_idle())
            .await
            .is_ok();
        if complete {
            closing.start();
            tokio::time::sleep(CLOSING).await;
        }
        complete
    };
    let mut running = std::pin::pin!(running.into_future());
    let mut draining = std::pin::pin!(draining);
    tokio::select! {
        result = &mut running => result.map(|()| true),
        complete = &mut draining => Ok(complete),
    }
}

/// Sends each token when it is written, also while the client has not acknowledged the one before.
pub(crate) fn send_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection may delay tokens");
    }
}

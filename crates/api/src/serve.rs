//! Running the routes on a listener until it is told to stop.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::routes::router;
use crate::state::AppState;

/// Tells a running server to stop. Clones tell the same server.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::channel(false).0)
    }
}

impl Shutdown {
    /// Refuses new requests and ends once the running ones are complete.
    pub fn start(&self) {
        self.0.send_replace(true);
    }

    async fn started(&self) {
        let mut receiver = self.0.subscribe();
        // The sender is `self`, so the channel stays open.
        let _ = receiver.wait_for(|started| *started).await;
    }
}

/// Time that connections without an answer get to close.
const CLOSING: Duration = Duration::from_secs(1);

/// Serves until `shutdown` starts and all answers are complete, or until `deadline` after its start; what is not complete
/// then is cancelled. Meanwhile new requests are refused with 503, and `/health` tells why. Says whether all was complete.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    server: AppState,
    shutdown: Shutdown,
    deadline: Duration,
) -> io::Result<bool> {
    let closing = Shutdown::default();
    let closed = closing.clone();
    let running = axum::serve(listener, router(server.clone()))
        .with_graceful_shutdown(async move { closed.started().await });
    let draining = async {
        shutdown.started().await;
        server.start_draining();
        let complete = tokio::time::timeout(deadline, server.wait_until_idle())
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

//! Requests to stop a server: signals, and the exit of its owner.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::interrupt::InterruptGuard;

/// How often Ctrl-C is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// 128 + SIGTERM, as a shell reports it.
const EXIT_TERMINATED: i32 = 143;

/// Calls `stop` on Ctrl-C, SIGTERM or when `orphaned` is ready. A second SIGTERM exits, like a second Ctrl-C.
pub async fn stop_on_request(
    guard: InterruptGuard,
    orphaned: impl Future<Output = ()>,
    stop: impl FnOnce(),
) {
    let mut terminate = signal(SignalKind::terminate()).ok();
    let mut orphaned = std::pin::pin!(orphaned);
    let mut stop = Some(stop);
    loop {
        let terminated = async {
            match &mut terminate {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        let requested = tokio::select! {
            _ = terminated => {
                if stop.is_none() {
                    std::process::exit(EXIT_TERMINATED);
                }
                true
            }
            () = &mut orphaned, if stop.is_some() => true,
            () = tokio::time::sleep(POLL_INTERVAL) => guard.requested(),
        };
        if requested && let Some(stop) = stop.take() {
            tracing::info!(
                "shutting down: waiting for running requests (send the signal again to exit immediately)"
            );
            stop();
        }
    }
}

//! Requests to stop a server: signals, and the exit of its owner.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::interrupt::InterruptGuard;

/// How often Ctrl-C is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// 128 + SIGTERM, as a shell reports it.
const EXIT_TERMINATED: i32 = 143;

/// Calls `stop` on Ctrl-C, SIGTERM or when `orphaned` is ready. A second SIGTERM exits, like a second Ctrl-C.
///
/// SIGTERM is handled from the call on, and not only once the future is polled: a process that has announced its address
/// may be stopped at once.
pub fn stop_on_request(
    guard: InterruptGuard,
    orphaned: impl Future<Output = ()>,
    stop: impl FnOnce(),
) -> impl Future<Output = ()> {
    let mut terminate = signal(SignalKind::terminate()).ok();
    let mut stop = Some(stop);
    async move {
        let mut orphaned = std::pin::pin!(orphaned);
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
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn sigterm_before_the_first_poll_calls_stop() {
        let stopped = Cell::new(false);
        let requests = stop_on_request(InterruptGuard::start(), std::future::pending(), || {
            stopped.set(true);
        });
        // SAFETY: raises a signal in this process.
        assert_eq!(unsafe { libc::raise(libc::SIGTERM) }, 0);
        let until_stopped = async {
            while !stopped.get() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = requests => {}
            () = until_stopped => {}
        }
        assert!(stopped.get());
    }
}

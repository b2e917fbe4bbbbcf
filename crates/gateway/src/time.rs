//! Waiting for times that may not exist.

use tokio::time::Instant;

/// Waits until `time`; forever if there is none.
pub async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

//! Waiting for a state, in all test programs of this crate.

use std::time::Duration;

/// Far longer than any step; only reached if a server hangs.
const TIMEOUT: Duration = Duration::from_mins(1);
const INTERVAL: Duration = Duration::from_millis(5);

/// Calls `poll` until it returns a value.
pub async fn wait_for<T>(mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(value) = poll().await {
                return value;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    tokio::time::timeout(TIMEOUT, found).await.unwrap()
}

//! The requests that servers have at the moment, while someone watches.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::topics::TopicName;
use crate::gateway::GatewayState;
use crate::gateway::management::live_requests;
use crate::wire::events::{Event, Topic};

/// Time between two samples of requests that do not change, since their counts do.
const INTERVAL: Duration = Duration::from_secs(1);

/// Shortest time between two samples: many requests may begin and end in a second.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// Publishes the requests of all servers until the pool exits. Also of those without any, so that a reader that has lost a
/// sample does not show requests that have ended.
pub async fn publish_requests(state: GatewayState) {
    let mut watched = state.bus().watched();
    let mut changes = state.monitor().requests.changes();
    loop {
        let topic = TopicName::Shared(Topic::Requests);
        let is_closed = watched
            .wait_for(|topics| topics.contains(&topic))
            .await
            .is_err();
        if is_closed {
            return;
        }
        changes.mark_unchanged();
        let Ok(servers) = state.pool().servers().await else {
            return;
        };
        let published = Instant::now();
        for requests in live_requests(&state, &servers.all()).await {
            state.bus().publish(Event::Requests(requests));
        }
        sleep_until(published + MIN_INTERVAL).await;
        tokio::select! {
            () = sleep_until(published + INTERVAL) => {}
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

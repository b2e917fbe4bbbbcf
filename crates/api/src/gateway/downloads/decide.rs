//! What happens next in the queue: pure functions.

use std::time::Duration;

use mlxm_hub::HubError;

use crate::wire::downloads::WaitReason;

/// Repositories that are downloaded at the same time.
pub const MAX_RUNNING: usize = 2;

/// Pulls in a row that fail without any progress, after which a download has failed.
pub const MAX_ATTEMPTS: u32 = 8;

/// What a download in the queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It can start.
    Ready,
    /// It has started, and its size is not known yet.
    Checking,
    /// It is transferring.
    Running,
    /// It is paused, waits for a time, or has ended.
    Idle,
}

/// The position of the download that starts next, of a queue in its order. `None` if all that may run do, or if one has started
/// whose size is not known yet: the disk must have space for all of them.
pub fn next_to_start(queue: &[(&str, Activity)]) -> Option<usize> {
    let is_active = |activity: Activity| matches!(activity, Activity::Checking | Activity::Running);
    let active = || queue.iter().filter(|(_, activity)| is_active(*activity));
    if active().count() >= MAX_RUNNING
        || active().any(|(_, activity)| *activity == Activity::Checking)
    {
        return None;
    }
    // Two pulls of one repository would wait for each other's locks.
    let is_free = |repo: &str| active().all(|(other, _)| *other != repo);
    queue
        .iter()
        .position(|(repo, activity)| *activity == Activity::Ready && is_free(repo))
}

/// What follows a failed pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterError {
    /// It is repeated after a time.
    Retry {
        /// What it waits for.
        reason: WaitReason,
        /// How long.
        after: Duration,
    },
    /// A user has to do something.
    Fail,
}

/// Times between attempts.
#[derive(Debug, Clone, Copy)]
pub struct RetryTimes {
    /// After the first failure. It doubles with each further one.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
    /// Between two looks at the disk space.
    pub disk: Duration,
}

impl Default for RetryTimes {
    /// 2 seconds, 1 minute and 30 seconds.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2),
            longest: Duration::from_mins(1),
            disk: Duration::from_secs(30),
        }
    }
}

/// What follows the `attempt`-th failure in a row without progress. A lost network and a full disk are waited for, however long;
/// a hub or a connection that keeps failing is given up after [`MAX_ATTEMPTS`].
pub fn after_error(error: &HubError, attempt: u32, times: &RetryTimes) -> AfterError {
    let exponent = attempt.saturating_sub(1).min(16);
    let backoff = times.first.saturating_mul(1 << exponent).min(times.longest);
    let network = |after| AfterError::Retry {
        reason: WaitReason::Network,
        after,
    };
    match error {
        HubError::Network { .. } => network(backoff),
        HubError::DiskFull { .. } => AfterError::Retry {
            reason: WaitReason::Disk,
            after: times.disk,
        },
        HubError::Server {
            status: 408 | 429 | 500..=599,
            retry_after,
            ..
        } if attempt < MAX_ATTEMPTS => network(backoff.max(retry_after.unwrap_or_default())),
        HubError::RetriesExhausted { .. } if attempt < MAX_ATTEMPTS => network(backoff),
        _ => AfterError::Fail,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn queue_starts_in_its_order_one_repository_at_a_time() {
        use Activity::{Checking, Idle, Ready, Running};
        for (queue, expected) in [
            (vec![], None),
            (vec![("a", Idle), ("b", Ready), ("c", Ready)], Some(1)),
            (vec![("a", Running), ("b", Ready)], Some(1)),
            (vec![("a", Checking), ("b", Ready)], None),
            (vec![("a", Running), ("b", Running), ("c", Ready)], None),
            (vec![("a", Running), ("a", Ready), ("b", Ready)], Some(2)),
        ] {
            assert_eq!(next_to_start(&queue), expected, "{queue:?}");
        }
    }

    fn activity() -> impl Strategy<Value = Activity> {
        prop_oneof![
            Just(Activity::Ready),
            Just(Activity::Checking),
            Just(Activity::Running),
            Just(Activity::Idle)
        ]
    }

    proptest! {
        #[test]
        fn limits_hold_and_nothing_is_overtaken_without_reason(
            queue in prop::collection::vec(("[a-c]", activity()), 0..8)
        ) {
            let queue: Vec<(&str, Activity)> =
                queue.iter().map(|(repo, activity)| (repo.as_str(), *activity)).collect();
            let active: Vec<&str> = queue
                .iter()
                .filter(|(_, activity)| matches!(activity, Activity::Checking | Activity::Running))
                .map(|(repo, _)| *repo)
                .collect();
            if let Some(next) = next_to_start(&queue) {
                prop_assert!(active.len() < MAX_RUNNING);
                prop_assert!(!active.contains(&queue[next].0));
                for (repo, activity) in &queue[..next] {
                    prop_assert!(*activity != Activity::Ready || active.contains(repo));
                }
            }
        }
    }

    fn server(status: u16, retry_after: Option<Duration>) -> HubError {
        HubError::Server {
            status,
            url: String::new(),
            message: None,
            retry_after,
        }
    }

    #[test]
    fn lost_network_and_full_disk_are_waited_for_and_broken_hubs_given_up() {
        let times = RetryTimes::default();
        let after = |error: &HubError, attempt| match after_error(error, attempt, &times) {
            AfterError::Retry { reason, after } => Some((reason, after.as_secs())),
            AfterError::Fail => None,
        };
        let network = HubError::Network {
            url: String::new(),
            reason: String::new(),
        };
        assert_eq!(after(&network, 1), Some((WaitReason::Network, 2)));
        assert_eq!(after(&network, 3), Some((WaitReason::Network, 8)));
        assert_eq!(after(&network, u32::MAX), Some((WaitReason::Network, 60)));
        let disk = HubError::DiskFull {
            path: "/".into(),
            needed_bytes: None,
            available_bytes: None,
        };
        assert_eq!(after(&disk, 100), Some((WaitReason::Disk, 30)));
        let busy = server(429, Some(Duration::from_mins(5)));
        assert_eq!(after(&busy, 1), Some((WaitReason::Network, 300)));
        assert_eq!(
            after(&server(503, None), MAX_ATTEMPTS - 1),
            Some((WaitReason::Network, 60))
        );
        assert_eq!(after(&server(503, None), MAX_ATTEMPTS), None);
        assert_eq!(after(&server(400, None), 1), None);
        let gated = HubError::NoMatchingFiles {
            repo: String::new(),
        };
        assert_eq!(after(&gated, 1), None);
    }
}

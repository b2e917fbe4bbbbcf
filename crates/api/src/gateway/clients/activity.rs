//! What clients have done since the gateway was started: the light of a client that has just been configured.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use crate::gateway::proxy::RequestRecord;
use crate::wire::clients::{ClientActivity, ClientRequest};

/// The activity of each client; clones share it. There are at most as many as templates, and one for other programs.
#[derive(Debug, Clone, Default)]
pub struct ClientTracker(Arc<Mutex<BTreeMap<&'static str, ClientActivity>>>);

impl ClientTracker {
    /// Adds a request that has ended. Returns the activity of its client, which is to be published.
    pub fn record(&self, record: &RequestRecord) -> ClientActivity {
        let last = request(record);
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let activity = clients
            .entry(record.client)
            .or_insert_with(|| ClientActivity {
                client: record.client.to_owned(),
                requests: 0,
                errors: 0,
                first_at_ms: last.at_ms,
                prompt_tokens: 0,
                cached_tokens: 0,
                longest_prompt_tokens: 0,
                last: ClientRequest::default(),
            });
        let prompt = last.prompt_tokens.unwrap_or_default();
        activity.requests += 1;
        activity.errors += u64::from(last.status >= 400);
        activity.prompt_tokens += prompt;
        activity.cached_tokens += last.cached_tokens.unwrap_or_default();
        activity.longest_prompt_tokens = activity.longest_prompt_tokens.max(prompt);
        activity.last = last;
        activity.clone()
    }

    /// The activity of all clients that have sent a request.
    pub fn all(&self) -> Vec<ClientActivity> {
        let clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.values().cloned().collect()
    }
}

fn request(record: &RequestRecord) -> ClientRequest {
    let usage = record.usage.as_ref();
    let since = record.received_at.duration_since(UNIX_EPOCH);
    let model = record.profile.as_ref().or(record.model.as_ref());
    ClientRequest {
        request_id: record.request_id.clone(),
        at_ms: i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX),
        endpoint: record.route.clone(),
        model: model.cloned().unwrap_or_default(),
        status: record.status,
        error_kind: record.error.map(str::to_owned),
        prompt_tokens: usage.map(|usage| usage.prompt_tokens as u64),
        cached_tokens: usage.map(|usage| usage.cached_tokens as u64),
        completion_tokens: usage.map(|usage| usage.completion_tokens as u64),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::RequestUsage;
    use crate::gateway::proxy::Class;

    fn record(client: &'static str, status: u16, tokens: Option<(usize, usize)>) -> RequestRecord {
        RequestRecord {
            request_id: "req_1".to_owned(),
            client,
            route: "/v1/messages".to_owned(),
            model: Some("org/model".to_owned()),
            profile: None,
            worker: None,
            class: Class::Normal,
            received_at: UNIX_EPOCH + Duration::from_millis(5),
            duration: Duration::ZERO,
            status,
            error: None,
            usage: tokens.map(|(prompt_tokens, cached_tokens)| RequestUsage {
                prompt_tokens,
                cached_tokens,
                completion_tokens: 2,
                queue_ms: None,
                first_token_ms: None,
                total_ms: 1.0,
                finish: None,
            }),
        }
    }

    #[test]
    fn requests_of_each_client_are_summed() {
        let tracker = ClientTracker::default();
        tracker.record(&record("codex", 200, Some((100, 0))));
        let codex = tracker.record(&record("codex", 200, Some((80, 60))));
        assert_eq!(
            (codex.requests, codex.prompt_tokens, codex.cached_tokens),
            (2, 180, 60)
        );
        assert_eq!(codex.longest_prompt_tokens, 100);
        assert_eq!(codex.last.cached_tokens, Some(60));
        assert_eq!(codex.first_at_ms, 5);
        let other = tracker.record(&record("other", 400, None));
        assert_eq!((other.requests, other.errors), (1, 1));
        assert_eq!(other.last.prompt_tokens, None);
        assert_eq!(tracker.all(), [codex, other]);
    }
}

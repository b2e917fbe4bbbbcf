//! Usage of requests, for the accounting of the gateway.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use lru::LruCache;
use mlxm_engine::{FinishReason, PrefillProgress, Started};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::running::{RequestPhase, RunningRequest};
use crate::generate::Finish;

/// Requests whose usage is kept.
const KEPT: usize = 1024;

/// Tokens and times of a request. Those of several completions are added; prompts count once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestUsage {
    /// Tokens of all prompts.
    pub prompt_tokens: usize,
    /// Prompt tokens found in the prefix cache.
    pub cached_tokens: usize,
    /// Tokens generated so far.
    pub completion_tokens: usize,
    /// From submission to the first step that computed a part of the request. `null` before the first token.
    pub queue_ms: Option<f64>,
    /// From arrival to the first token. `null` before it.
    pub first_token_ms: Option<f64>,
    /// From arrival to the end of the last completion.
    pub total_ms: f64,
    /// How it ended. `null` while it is running.
    pub finish: Option<UsageFinish>,
}

/// How a request ended. Of several completions, the last one in this order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageFinish {
    /// The output is complete.
    Stop,
    /// The output is complete and calls tools.
    ToolCalls,
    /// A length limit truncated the output.
    Length,
    /// The client disconnected.
    Cancelled,
    /// The generation failed or timed out.
    Error,
}

impl UsageFinish {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::ToolCalls => "tool_calls",
            Self::Length => "length",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
        }
    }
}

/// Collects the usage of a request.
#[derive(Debug)]
pub struct UsageRecorder {
    id: String,
    received_at: Instant,
    state: Mutex<State>,
    /// Completions that have started and not ended.
    running: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    prompts: BTreeMap<usize, PromptTokens>,
    completion_tokens: usize,
    /// Queue time and time to the first token, of the completion that has it first.
    first_token: Option<(Duration, Duration)>,
    ended: Option<Duration>,
    finish: Option<UsageFinish>,
}

#[derive(Debug, Clone, Copy, Default)]
struct PromptTokens {
    total: usize,
    cached: usize,
    /// `None` until a step has computed a part of it.
    computed: Option<usize>,
}

/// Records a completion of a request. Dropping it before its end counts it as cancelled.
#[derive(Debug)]
pub struct CompletionUsage {
    request: Arc<UsageRecorder>,
    prompt: usize,
    tokens: usize,
    ended: bool,
}

impl UsageRecorder {
    /// For the request `id`, which arrived at `received_at`.
    pub fn new(id: String, received_at: Instant) -> Self {
        Self {
            id,
            received_at,
            state: Mutex::default(),
            running: watch::Sender::new(0),
        }
    }

    /// Starts a completion of the request's prompt number `prompt`, of `prompt_tokens` tokens.
    pub fn completion(self: &Arc<Self>, prompt: usize, prompt_tokens: usize) -> CompletionUsage {
        self.lock().prompts.entry(prompt).or_default().total = prompt_tokens;
        self.running.send_modify(|running| *running += 1);
        CompletionUsage {
            request: self.clone(),
            prompt,
            tokens: 0,
            ended: false,
        }
    }

    /// Whether a completion has started.
    pub fn has_started(&self) -> bool {
        !self.lock().prompts.is_empty()
    }

    /// The usage so far.
    pub fn usage(&self) -> RequestUsage {
        let is_running = *self.running.borrow() > 0;
        let state = self.lock();
        let prompts = state.prompts.values();
        // After an error, other completions of the request may still be running.
        let finish = state
            .finish
            .filter(|finish| !is_running || *finish == UsageFinish::Error);
        let ended = state.ended.filter(|_| !is_running);
        RequestUsage {
            prompt_tokens: prompts.clone().map(|prompt| prompt.total).sum(),
            cached_tokens: prompts.map(|prompt| prompt.cached).sum(),
            completion_tokens: state.completion_tokens,
            queue_ms: state.first_token.map(|(queue, _)| milliseconds(queue)),
            first_token_ms: state.first_token.map(|(_, first)| milliseconds(first)),
            total_ms: milliseconds(ended.unwrap_or_else(|| self.received_at.elapsed())),
            finish,
        }
    }

    /// What the request is doing; `None` if no completion of it is running.
    fn running(&self) -> Option<RunningRequest> {
        if *self.running.borrow() == 0 {
            return None;
        }
        let state = self.lock();
        let prompts = state.prompts.values();
        let is_computed = prompts.clone().any(|prompt| prompt.computed.is_some());
        Some(RunningRequest {
            id: self.id.clone(),
            phase: match (state.first_token, is_computed) {
                (Some(_), _) => RequestPhase::Decode,
                (None, true) => RequestPhase::Prefill,
                (None, false) => RequestPhase::Queued,
            },
            prompt_tokens: prompts.clone().map(|prompt| prompt.total).sum(),
            cached_tokens: prompts.clone().map(|prompt| prompt.cached).sum(),
            computed_tokens: prompts.filter_map(|prompt| prompt.computed).sum(),
            completion_tokens: state.completion_tokens,
        })
    }

    /// The usage so far as JSON, for a header or a trailer.
    pub fn header(&self) -> Option<HeaderValue> {
        let json = serde_json::to_string(&self.usage()).ok()?;
        HeaderValue::try_from(json).ok()
    }

    async fn wait_until_finished(&self) {
        // The sender is in `self`, so the channel stays open.
        let _ = self
            .running
            .subscribe()
            .wait_for(|running| *running == 0)
            .await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counts only: a panic elsewhere cannot leave them unusable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With three decimals.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

impl CompletionUsage {
    /// Records that a step has computed a part of the prompt.
    pub fn prefill(&mut self, progress: PrefillProgress) {
        let mut state = self.request.lock();
        let prompt = state.prompts.entry(self.prompt).or_default();
        prompt.cached = prompt.cached.max(progress.cached_tokens);
        prompt.computed = prompt.computed.max(Some(progress.computed_tokens));
    }

    /// Records a token. `started` is the start of the completion.
    pub fn token(&mut self, started: Started) {
        let received_at = self.request.received_at;
        let mut state = self.request.lock();
        if self.tokens == 0 {
            state
                .first_token
                .get_or_insert_with(|| (started.queue_time, received_at.elapsed()));
            // Completions of one prompt are looked up one after the other, so the numbers may differ.
            let prompt = state.prompts.entry(self.prompt).or_default();
            prompt.cached = prompt.cached.max(started.cached_tokens);
            prompt.computed = Some(prompt.total);
        }
        state.completion_tokens += 1;
        drop(state);
        self.tokens += 1;
    }

    /// Records the end of the completion.
    pub fn finished(&mut self, finish: &Finish) {
        // It counts tokens that have no text, such as that of the end.
        let more = finish.metrics.generated_tokens.saturating_sub(self.tokens);
        self.request.lock().completion_tokens += more;
        self.end(match finish.reason {
            FinishReason::Stop(_) => UsageFinish::Stop,
            FinishReason::ToolCalls => UsageFinish::ToolCalls,
            FinishReason::Length(_) => UsageFinish::Length,
            FinishReason::Cancelled => UsageFinish::Cancelled,
        });
    }

    /// Records that the completion failed.
    pub fn failed(&mut self) {
        self.end(UsageFinish::Error);
    }

    fn end(&mut self, finish: UsageFinish) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut state = self.request.lock();
        state.finish = state.finish.max(Some(finish));
        state.ended = Some(self.request.received_at.elapsed());
        drop(state);
        self.request.running.send_modify(|running| *running -= 1);
    }
}

impl Drop for CompletionUsage {
    fn drop(&mut self) {
        self.end(UsageFinish::Cancelled);
    }
}

/// The usage of the last requests by their ids.
#[derive(Debug)]
pub struct UsageLog {
    requests: Mutex<LruCache<String, Arc<UsageRecorder>>>,
    /// Notified when a request is added.
    added: watch::Sender<()>,
}

impl Default for UsageLog {
    fn default() -> Self {
        Self {
            requests: Mutex::new(LruCache::unbounded()),
            added: watch::Sender::new(()),
        }
    }
}

impl UsageLog {
    /// Adds a request. One with the same id is replaced.
    pub fn insert(&self, recorder: &Arc<UsageRecorder>) {
        let mut requests = self.lock();
        requests.put(recorder.id.clone(), recorder.clone());
        if requests.len() > KEPT {
            requests.pop_lru();
        }
        drop(requests);
        self.added.send_replace(());
    }

    /// The usage of the request `id` when it has ended, or after `timeout`; `None` if there is no such request by then.
    pub async fn get(&self, id: &str, timeout: Duration) -> Option<RequestUsage> {
        let mut added = self.added.subscribe();
        let ended = async {
            loop {
                if let Some(recorder) = self.find(id) {
                    recorder.wait_until_finished().await;
                    return;
                }
                if added.changed().await.is_err() {
                    return;
                }
            }
        };
        // After the timeout, the usage so far is returned.
        let _ = tokio::time::timeout(timeout, ended).await;
        Some(self.find(id)?.usage())
    }

    /// The requests of which a completion is running or queued.
    pub fn running(&self) -> Vec<RunningRequest> {
        let requests = self.lock();
        let recorders = requests.iter().map(|(_, recorder)| recorder);
        recorders
            .filter_map(|recorder| recorder.running())
            .collect()
    }

    fn find(&self, id: &str) -> Option<Arc<UsageRecorder>> {
        self.lock().peek(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, Arc<UsageRecorder>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(id: &str) -> Arc<UsageRecorder> {
        Arc::new(UsageRecorder::new(id.to_owned(), Instant::now()))
    }

    #[test]
    fn usage_counts_each_prompt_once_and_reports_the_worst_end() {
        let request = recorder("a");
        assert!(!request.has_started());
        let mut first = request.completion(0, 10);
        let mut second = request.completion(0, 10);
        let third = request.completion(1, 7);
        let started = Started {
            cached_tokens: 4,
            ..Started::default()
        };
        first.token(started);
        second.token(Started::default());
        second.token(Started::default());
        assert_eq!(request.usage().finish, None);
        first.end(UsageFinish::Length);
        second.end(UsageFinish::Stop);
        assert_eq!(request.usage().finish, None);
        drop(third);
        let usage = request.usage();
        assert_eq!(
            (
                usage.prompt_tokens,
                usage.cached_tokens,
                usage.completion_tokens
            ),
            (17, 4, 3)
        );
        assert_eq!(usage.finish, Some(UsageFinish::Cancelled));
        assert_eq!(request.usage().total_ms, usage.total_ms);
    }

    #[test]
    fn failed_completion_is_reported_while_others_are_running() {
        let request = recorder("a");
        let _running = request.completion(0, 1);
        request.completion(0, 1).failed();
        assert_eq!(request.usage().finish, Some(UsageFinish::Error));
    }

    #[test]
    fn running_requests_are_queued_computed_and_generated() {
        let log = UsageLog::default();
        let request = recorder("a");
        let mut completion = request.completion(0, 10);
        log.insert(&request);
        log.insert(&recorder("without a completion"));
        let only = || {
            let running = log.running();
            assert_eq!(running.len(), 1);
            running.into_iter().next().unwrap()
        };
        assert_eq!(only().phase, RequestPhase::Queued);
        completion.prefill(PrefillProgress {
            prompt_tokens: 10,
            cached_tokens: 4,
            computed_tokens: 7,
            ..PrefillProgress::default()
        });
        let running = only();
        assert_eq!(running.phase, RequestPhase::Prefill);
        assert_eq!((running.cached_tokens, running.computed_tokens), (4, 7));
        completion.token(Started::default());
        let running = only();
        assert_eq!(running.phase, RequestPhase::Decode);
        assert_eq!(
            (
                running.prompt_tokens,
                running.cached_tokens,
                running.computed_tokens,
                running.completion_tokens
            ),
            (10, 4, 10, 1)
        );
        drop(completion);
        assert_eq!(log.running(), []);
    }

    #[tokio::test]
    async fn log_waits_for_requests_that_are_added_later_and_for_their_end() {
        let log = UsageLog::default();
        let request = recorder("a");
        let completion = request.completion(0, 3);
        let wait = log.get("a", Duration::from_mins(1));
        let end = async {
            tokio::task::yield_now().await;
            log.insert(&request);
            tokio::task::yield_now().await;
            drop(completion);
        };
        let (usage, ()) = tokio::join!(wait, end);
        assert_eq!(usage.unwrap().finish, Some(UsageFinish::Cancelled));
    }

    #[tokio::test]
    async fn log_returns_after_the_timeout() {
        let log = UsageLog::default();
        assert_eq!(log.get("a", Duration::ZERO).await, None);
        let request = recorder("a");
        let _running = request.completion(0, 3);
        log.insert(&request);
        let usage = log.get("a", Duration::ZERO).await.unwrap();
        assert_eq!((usage.prompt_tokens, usage.finish), (3, None));
    }

    #[tokio::test]
    async fn log_keeps_the_last_requests() {
        let log = UsageLog::default();
        for id in 0..=KEPT {
            log.insert(&recorder(&id.to_string()));
        }
        assert_eq!(log.get("0", Duration::ZERO).await, None);
        assert!(log.get("1", Duration::ZERO).await.is_some());
    }
}

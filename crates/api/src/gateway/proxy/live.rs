//! The requests that have not ended: what is known about each, and how a user cancels one.
//!
//! Nothing of it is stored, and nothing of it is content. There are as many as requests in flight, which are limited.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use axum::http::{StatusCode, header, request::Parts};
use futures_util::future::join_all;
use mlxm_store::Uuid;
use tokio::sync::watch;

use super::client::WorkerClient;
use super::target::Target;
use super::usage::CLIENT_CLOSED_REQUEST;
use super::workers::{AcquireError, Lease, WorkerId};
use crate::gateway::clients::recognize;
use crate::worker::RunningRequest;

/// The code of requests that a user cancelled.
pub const CANCELLED: &str = "cancelled";

/// Most characters of the name of a client's program.
const MAX_CLIENT: usize = 120;

/// A request that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRequest {
    /// Identifies it in this gateway; later requests have greater ones.
    pub id: Uuid,
    /// The id in the `x-request-id` header, which a client can choose.
    pub request_id: String,
    /// The method.
    pub method: String,
    /// The pattern of the route.
    pub route: String,
    /// The program of the client, as its `user-agent` header names it.
    pub client: Option<String>,
    /// The client that this program is, as `recognize` names it.
    pub recognized: &'static str,
    /// When it arrived.
    pub received_at: SystemTime,
    /// The name that the client has sent as `model`.
    pub requested: Option<String>,
    /// The id of the model, once it is known.
    pub model: Option<String>,
    /// The profile, if the request named one.
    pub profile: Option<String>,
    /// The worker that has it; `None` while it waits for one.
    pub worker: Option<WorkerId>,
    /// What the worker knows about it.
    pub progress: Option<RunningRequest>,
}

impl LiveRequest {
    /// A request that has just arrived.
    pub fn new(parts: &Parts, route: &str, request_id: &str) -> Self {
        let client = parts.headers.get(header::USER_AGENT);
        let client = client.and_then(|client| client.to_str().ok());
        Self {
            id: Uuid::now_v7(),
            request_id: request_id.to_owned(),
            method: parts.method.to_string(),
            route: route.to_owned(),
            client: client.map(|client| client.chars().take(MAX_CLIENT).collect()),
            recognized: recognize(&parts.headers),
            received_at: SystemTime::now(),
            requested: None,
            model: None,
            profile: None,
            worker: None,
            progress: None,
        }
    }

    /// Its id as its worker knows it.
    pub fn own_id(&self) -> String {
        own_id(self.id)
    }
}

fn own_id(id: Uuid) -> String {
    id.simple().to_string()
}

/// All requests that have not ended; clones share them.
#[derive(Clone, Default)]
pub struct LiveRequests(Arc<Shared>);

#[derive(Default)]
struct Shared {
    requests: Mutex<BTreeMap<Uuid, Entry>>,
    changed: watch::Sender<()>,
    client: WorkerClient,
}

struct Entry {
    request: LiveRequest,
    /// Where its worker listens, and the key of it.
    worker: Option<(SocketAddr, String)>,
    cancelled: watch::Sender<bool>,
    on_cancel: Option<Box<dyn FnOnce() + Send>>,
}

impl fmt::Debug for LiveRequests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LiveRequests")
            .finish_non_exhaustive()
    }
}

impl LiveRequests {
    /// Adds a request, which is removed when the handle is dropped.
    pub fn begin(&self, request: LiveRequest) -> LiveHandle {
        let (cancelled, cancellation) = watch::channel(false);
        let (id, client) = (request.id, request.recognized);
        let entry = Entry {
            request,
            worker: None,
            cancelled,
            on_cancel: None,
        };
        self.lock().insert(id, entry);
        self.0.changed.send_replace(());
        LiveHandle {
            id,
            client,
            requests: self.clone(),
            cancellation: Cancellation(cancellation),
        }
    }

    /// All requests in the order of their arrival, without what only their workers know.
    pub fn all(&self) -> Vec<LiveRequest> {
        let requests = self.lock();
        requests
            .values()
            .map(|entry| entry.request.clone())
            .collect()
    }

    /// All requests in the order of their arrival. A worker that does not respond within a second leaves its part out.
    pub async fn list(&self) -> Vec<LiveRequest> {
        let workers: HashMap<SocketAddr, String> = {
            let requests = self.lock();
            let workers = requests.values().filter_map(|entry| entry.worker.clone());
            workers.collect()
        };
        let client = &self.0.client;
        let running = workers
            .iter()
            .map(|(address, key)| client.running(*address, key));
        let mut progress: HashMap<String, RunningRequest> = join_all(running)
            .await
            .into_iter()
            .flatten()
            .map(|request| (request.id.clone(), request))
            .collect();
        let mut requests = self.all();
        for request in &mut requests {
            request.progress = progress.remove(&request.own_id());
        }
        requests
    }

    /// Cancels a request: its client gets an error, and its worker ends the generation. Returns whether there is such a request.
    pub fn cancel(&self, id: Uuid) -> bool {
        let action = {
            let mut requests = self.lock();
            let Some(entry) = requests.get_mut(&id) else {
                return false;
            };
            entry.cancelled.send_replace(true);
            entry.on_cancel.take()
        };
        // Without the lock: it may end the request.
        if let Some(action) = action {
            action();
        }
        true
    }

    /// Notifies of requests that begin, get a worker or end.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Entry>> {
        // Every change of it is complete before anything can panic.
        self.0
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request among [`LiveRequests`] until it is dropped.
#[derive(Debug)]
pub struct LiveHandle {
    id: Uuid,
    client: &'static str,
    requests: LiveRequests,
    cancellation: Cancellation,
}

impl LiveHandle {
    /// Its id as its worker knows it.
    pub fn own_id(&self) -> String {
        own_id(self.id)
    }

    /// The client that has sent it.
    pub fn client(&self) -> &'static str {
        self.client
    }

    /// Waits until a user cancels it.
    pub fn cancellation(&self) -> Cancellation {
        self.cancellation.clone()
    }

    /// Sets the name that the client has sent.
    pub fn set_requested(&self, name: Option<String>) {
        self.update(|entry| entry.request.requested = name);
    }

    /// Sets what it is for.
    pub fn set_target(&self, target: &Target) {
        self.update(|entry| {
            entry.request.model = Some(target.model.clone());
            entry.request.profile.clone_from(&target.profile);
        });
    }

    /// Sets the worker that has it; `None` if it waits for another one.
    pub fn set_worker(&self, lease: Option<&Lease>) {
        self.update(|entry| {
            entry.request.worker = lease.map(|lease| lease.worker.clone());
            entry.worker = lease.map(|lease| (lease.address, lease.key.clone()));
        });
    }

    /// Runs `action` when a user cancels it, also if no one polls its response then.
    pub fn on_cancel(&self, action: impl FnOnce() + Send + 'static) {
        if let Some(entry) = self.requests.lock().get_mut(&self.id) {
            entry.on_cancel = Some(Box::new(action));
        }
    }

    fn update(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.requests.lock().get_mut(&self.id) {
            change(entry);
        }
        self.requests.0.changed.send_replace(());
    }
}

impl Drop for LiveHandle {
    fn drop(&mut self) {
        self.requests.lock().remove(&self.id);
        self.requests.0.changed.send_replace(());
    }
}

/// Whether a user has cancelled a request.
#[derive(Debug, Clone)]
pub struct Cancellation(watch::Receiver<bool>);

impl Cancellation {
    /// Waits until the request is cancelled.
    pub async fn cancelled(mut self) {
        let has_ended = self.0.wait_for(|cancelled| *cancelled).await.is_err();
        if has_ended {
            // It can no longer be cancelled.
            std::future::pending::<()>().await;
        }
    }
}

impl AcquireError {
    /// What the client of a cancelled request gets.
    pub fn cancelled() -> Self {
        Self {
            status: StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::CONFLICT),
            code: CANCELLED,
            message: "a user of the gateway cancelled this request".to_owned(),
            advice: "send it again if the completion is still needed".to_owned(),
            retry_after_seconds: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use futures_util::FutureExt as _;

    use super::*;

    fn begin(requests: &LiveRequests, agent: &str) -> LiveHandle {
        let request = Request::post("/v1/messages").header("user-agent", agent);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        requests.begin(LiveRequest::new(&parts, "/v1/messages", "req_1"))
    }

    #[test]
    fn requests_are_listed_until_they_end() {
        let requests = LiveRequests::default();
        let mut changes = requests.changes();
        let first = begin(&requests, "one");
        let second = begin(&requests, &"x".repeat(500));
        second.set_requested(Some("tiny".to_owned()));
        second.set_target(&Target {
            model: "org/tiny".to_owned(),
            profile: None,
            defaults: None,
            keep_alive: None,
        });
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        let listed = requests.all();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0].client.as_deref(), Some("one"));
        assert_eq!(listed[0].model, None);
        assert_eq!(listed[1].client.as_ref().unwrap().len(), MAX_CLIENT);
        assert_eq!(listed[1].requested.as_deref(), Some("tiny"));
        assert_eq!(listed[1].model.as_deref(), Some("org/tiny"));
        drop(first);
        assert!(changes.has_changed().unwrap());
        assert_eq!(requests.all().len(), 1);
    }

    #[test]
    fn only_the_named_request_is_cancelled() {
        let requests = LiveRequests::default();
        let (first, second) = (begin(&requests, "a"), begin(&requests, "b"));
        assert!(requests.cancel(second.id));
        let is_cancelled =
            |handle: &LiveHandle| handle.cancellation().cancelled().now_or_never().is_some();
        assert!(is_cancelled(&second) && !is_cancelled(&first));
        let cancellation = first.cancellation();
        let id = first.id;
        drop(first);
        assert!(!requests.cancel(id));
        // One that has ended is never cancelled.
        assert_eq!(cancellation.cancelled().now_or_never(), None);
    }
}

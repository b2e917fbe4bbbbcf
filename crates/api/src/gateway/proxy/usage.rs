//! Token counts and times of requests, as workers report them, and the records that go to the audit log.

use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderMap, HeaderName};
use tokio::sync::mpsc;

use super::live::{Cancellation, LiveHandle};
use super::target::Target;
use super::workers::{Class, Lease, WorkerId};
use crate::worker::RequestUsage;

/// The trailer of a stream, or the header of a whole response, with the [`RequestUsage`] as JSON.
pub const USAGE: HeaderName = HeaderName::from_static("x-mlxm-usage");

/// The usage in headers or trailers, if there is one that can be read.
pub fn read_usage(headers: &HeaderMap) -> Option<RequestUsage> {
    serde_json::from_slice(headers.get(USAGE)?.as_bytes()).ok()
}

/// A request that has ended. It has no prompt and no completion.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestRecord {
    /// The id in the `x-request-id` header, which a client can choose.
    pub request_id: String,
    /// The client that has sent it, as `recognize` names it.
    pub client: &'static str,
    /// The pattern of the route.
    pub route: String,
    /// The id of the model, once it is known; the requested name of at most 1,024 bytes, if it stands for no model.
    pub model: Option<String>,
    /// The profile, if the request named one.
    pub profile: Option<String>,
    /// The worker, once it is known.
    pub worker: Option<WorkerId>,
    /// How urgent the request was.
    pub class: Class,
    /// When it arrived.
    pub received_at: SystemTime,
    /// From its arrival to its end.
    pub duration: Duration,
    /// The status, or the one that it would have had if the response had not begun: 499 for a disconnect of the client or a
    /// cancellation, 502 for a worker that failed.
    pub status: u16,
    /// The stable name of the error, if it has one.
    pub error: Option<&'static str>,
    /// What it used, if the worker reported it.
    pub usage: Option<RequestUsage>,
}

/// Status of requests whose client disconnected, or that a user cancelled.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Sends the record of a request when the request ends; until then it is among the live requests. Dropping it means that the
/// client has disconnected.
#[derive(Debug)]
pub struct Recorder {
    /// `None` once it has been sent.
    record: Option<RequestRecord>,
    started: Instant,
    audit: mpsc::Sender<RequestRecord>,
    /// `None` once the client does not wait for it any more.
    live: Option<LiveHandle>,
    own_id: String,
    cancellation: Cancellation,
}

impl Recorder {
    /// Starts the record of a request that has just arrived.
    pub fn new(
        request_id: String,
        route: String,
        class: Class,
        audit: mpsc::Sender<RequestRecord>,
        live: LiveHandle,
    ) -> Self {
        let record = RequestRecord {
            request_id,
            client: live.client(),
            route,
            model: None,
            profile: None,
            worker: None,
            class,
            received_at: SystemTime::now(),
            duration: Duration::ZERO,
            status: CLIENT_CLOSED_REQUEST,
            error: None,
            usage: None,
        };
        Self {
            record: Some(record),
            started: Instant::now(),
            audit,
            own_id: live.own_id(),
            cancellation: live.cancellation(),
            live: Some(live),
        }
    }

    /// The id under which its worker knows the request.
    pub fn own_id(&self) -> &str {
        &self.own_id
    }

    /// Waits until a user cancels the request.
    pub fn cancellation(&self) -> Cancellation {
        self.cancellation.clone()
    }

    /// Sets the name of the model that the client has sent.
    pub fn set_requested(&self, name: Option<String>) {
        if let Some(live) = &self.live {
            live.set_requested(name);
        }
    }

    /// Sets the name of a model that stands for none.
    pub fn set_unresolved_model(&mut self, name: Option<String>) {
        self.update(|record| record.model = name);
    }

    /// Sets what the request is for.
    pub fn set_target(&mut self, target: &Target) {
        self.update(|record| {
            record.model = Some(target.model.clone());
            record.profile.clone_from(&target.profile);
        });
        if let Some(live) = &self.live {
            live.set_target(target);
        }
    }

    /// Sets the worker that gets the request.
    pub fn set_worker(&mut self, lease: &Lease) {
        self.update(|record| record.worker = Some(lease.worker.clone()));
        if let Some(live) = &self.live {
            live.set_worker(Some(lease));
        }
    }

    /// The worker has not got the request, which waits for another one.
    pub fn lose_worker(&self) {
        if let Some(live) = &self.live {
            live.set_worker(None);
        }
    }

    /// Runs `action` when a user cancels the request.
    pub fn on_cancel(&self, action: impl FnOnce() + Send + 'static) {
        if let Some(live) = &self.live {
            live.on_cancel(action);
        }
    }

    /// The client does not wait for the request any more.
    pub fn leave(&mut self) {
        self.live = None;
    }

    fn update(&mut self, change: impl FnOnce(&mut RequestRecord)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }

    /// Sends the record of a completed or failed request.
    pub fn finish(mut self, status: u16, error: Option<&'static str>, usage: Option<RequestUsage>) {
        self.update(|record| {
            record.status = status;
            record.error = error;
            record.usage = usage;
        });
    }

    /// Sends the record of a request whose client has disconnected, or that a user cancelled.
    pub fn cancel(mut self, error: Option<&'static str>, usage: Option<RequestUsage>) {
        self.update(|record| {
            record.error = error;
            record.usage = usage;
        });
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        record.duration = self.started.elapsed();
        // A writer that cannot keep up must not stop requests.
        if let Err(error) = self.audit.try_send(record) {
            tracing::warn!(%error, "a request is missing in the audit log");
        }
    }
}

//! Token counts and times of requests, as workers report them, and the records that go to the audit log.

use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderMap, HeaderName};
use tokio::sync::mpsc;

use super::workers::{Class, WorkerId};
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
    /// The status, or the one that it would have had if the response had not begun: 499 for a disconnect of the client, 502 for a
    /// worker that failed.
    pub status: u16,
    /// The stable name of the error, if it has one.
    pub error: Option<&'static str>,
    /// What it used, if the worker reported it.
    pub usage: Option<RequestUsage>,
}

/// Status of requests whose client disconnected.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Sends the record of a request when the request ends. Dropping it means that the client has disconnected.
#[derive(Debug)]
pub struct Recorder {
    /// `None` once it has been sent.
    record: Option<RequestRecord>,
    started: Instant,
    audit: mpsc::Sender<RequestRecord>,
}

impl Recorder {
    /// Starts the record of a request that has just arrived.
    pub fn new(
        request_id: String,
        route: String,
        class: Class,
        audit: mpsc::Sender<RequestRecord>,
    ) -> Self {
        let record = RequestRecord {
            request_id,
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
        }
    }

    /// Changes the record.
    pub fn update(&mut self, change: impl FnOnce(&mut RequestRecord)) {
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

    /// Sends the record of a request whose client has disconnected.
    pub fn cancel(mut self, usage: Option<RequestUsage>) {
        self.update(|record| record.usage = usage);
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

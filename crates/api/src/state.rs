//! The model that is served, and the limits of its service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mlxm_chat::{ChatModel, ChatOptions, FormatOverride};
use mlxm_engine::Engine;
use tokio::sync::watch;

use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::responses::store::{MemoryStore, ResponseStore};

/// What a single request may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Time from the request's arrival to the end of its answer.
    pub request_timeout: Duration,
    /// Answers (`n`) of one request.
    pub answers: usize,
    /// Between comments that keep a silent stream alive.
    pub keepalive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            request_timeout: Duration::from_hours(1),
            answers: 16,
            keepalive: Duration::from_secs(10),
        }
    }
}

/// How a model is served.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// The name that clients use.
    pub model: String,
    /// Further names for it.
    pub aliases: Vec<String>,
    /// The key that clients need, if any.
    pub api_key: Option<String>,
    /// Refuse fields that nobody knows.
    pub strict: bool,
    /// Keep lines of system prompts that known clients change with every request, which nothing in the cache fits.
    pub keep_billing_header: bool,
    /// How tool calls and reasoning are written, where the model does not tell by itself.
    pub format: FormatOverride,
    /// What a request may take.
    pub limits: Limits,
}

/// Serves one model; clones share it.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
    options: ServerOptions,
    created: u64,
    metrics: Metrics,
    responses: Box<dyn ResponseStore>,
    model: OnceLock<ServedModel>,
    draining: AtomicBool,
    /// Answers that are not complete.
    in_flight: watch::Sender<usize>,
}

/// Counts as an incomplete answer while it lives.
pub struct InFlightGuard(AppState);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.0.in_flight.send_modify(|in_flight| *in_flight -= 1);
    }
}

/// A loaded model.
pub struct ServedModel {
    pub engine: Engine,
    pub chat: ChatModel,
}

impl AppState {
    /// A server whose model is still loading: it answers `/health`, and other requests with 503.
    pub fn starting(options: ServerOptions) -> Self {
        Self::starting_with(options, MemoryStore::default())
    }

    /// As [`starting`](Self::starting); `responses` keeps what `/v1/responses` stores.
    pub fn starting_with(options: ServerOptions, responses: impl ResponseStore + 'static) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(Arc::new(Shared {
            options,
            created: now.as_secs(),
            metrics: Metrics::default(),
            responses: Box::new(responses),
            model: OnceLock::new(),
            draining: AtomicBool::new(false),
            in_flight: watch::Sender::new(0),
        }))
    }

    /// Serves `engine` from now on. A second call changes nothing.
    pub fn ready(&self, engine: Engine) {
        self.0
            .model
            .get_or_init(|| ServedModel::new(engine, self.options()));
    }

    /// Refuses new requests from now on.
    pub(crate) fn start_draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Counts an answer.
    pub(crate) fn track_request(&self) -> InFlightGuard {
        self.0.in_flight.send_modify(|in_flight| *in_flight += 1);
        InFlightGuard(self.clone())
    }

    /// Waits until no answer is incomplete.
    pub(crate) async fn wait_until_idle(&self) {
        // The sender is in `self`, so the channel stays open.
        let _ = self
            .0
            .in_flight
            .subscribe()
            .wait_for(|in_flight| *in_flight == 0)
            .await;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    pub(crate) fn options(&self) -> &ServerOptions {
        &self.0.options
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn responses(&self) -> &dyn ResponseStore {
        &*self.0.responses
    }

    /// Seconds since 1970 when the server started.
    pub(crate) fn created(&self) -> u64 {
        self.0.created
    }

    /// The model, if requests are taken.
    pub(crate) fn model(&self) -> Result<&ServedModel, ApiError> {
        if self.is_draining() {
            return Err(ApiError::unavailable("the server is shutting down"));
        }
        self.loaded()
            .ok_or_else(|| ApiError::unavailable("the model is still loading"))
    }

    pub(crate) fn loaded(&self) -> Option<&ServedModel> {
        self.0.model.get()
    }

    /// Whether `name` is a name of the model.
    pub(crate) fn serves(&self, name: &str) -> bool {
        let options = self.options();
        name == options.model
            || options
                .aliases
                .iter()
                .any(|alias| alias == name || alias == "*")
    }

    /// The model, if requests are taken and it goes by `name`.
    pub(crate) fn model_named(&self, name: &str) -> Result<&ServedModel, ApiError> {
        if self.serves(name) {
            return self.model();
        }
        Err(ApiError::unknown_model(name, &self.options().model))
    }
}

impl ServedModel {
    fn new(engine: Engine, options: &ServerOptions) -> Self {
        let chat = ChatOptions {
            format: options.format,
            keep_billing_header: options.keep_billing_header,
            max_n: Some(options.limits.answers),
            ..ChatOptions::default()
        };
        Self {
            chat: ChatModel::with_options(&engine, chat),
            engine,
        }
    }
}

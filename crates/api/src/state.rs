//! The state that all handlers share: the served model, options and limits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mlxm_chat::{ChatModel, ChatOptions, FormatOverride};
use mlxm_engine::Engine;
use serde::Serialize;
use tokio::sync::watch;

use crate::access::AccessPolicy;
use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::responses::store::{MemoryStore, ResponseStore};
use crate::worker::{Owner, Worker};

/// Limits of a single request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Size of a body in bytes.
    pub body_bytes: usize,
    /// Time from the arrival of a request to the end of its response.
    pub request_timeout: Duration,
    /// Completions (`n`) of one request.
    pub completions: usize,
    /// Interval of the comments that keep a silent stream alive.
    pub keepalive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 32 << 20,
            request_timeout: Duration::from_hours(1),
            completions: 16,
            keepalive: Duration::from_secs(10),
        }
    }
}

/// Options of a server.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// The name that clients use.
    pub model: String,
    /// Further names for it.
    pub aliases: Vec<String>,
    /// Names that are accepted but not listed.
    pub hidden_aliases: Vec<String>,
    /// Reject unknown fields instead of ignoring them with a warning.
    pub strict: bool,
    /// Keep the billing header that a known client puts into system prompts. It changes with every request, so that the
    /// prefix cache never hits.
    pub keep_billing_header: bool,
    /// Tool-call and reasoning formats, where the model does not declare them.
    pub format: FormatOverride,
    /// Who may use the server.
    pub access: AccessPolicy,
    /// Limits of a request.
    pub limits: Limits,
    /// The process that the server works for. With an API key, it can use the routes under `/internal` and send the settings of
    /// a profile with its requests.
    pub owner: Option<Owner>,
}

/// The state of a server with one model; clones share it.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
    options: ServerOptions,
    created: u64,
    metrics: Metrics,
    responses: Box<dyn ResponseStore>,
    model: OnceLock<ServedModel>,
    draining: AtomicBool,
    /// Number of completions in progress.
    in_flight: watch::Sender<usize>,
    /// Present with an owner and an API key.
    worker: Option<Worker>,
}

/// Counts as a completion in progress until it is dropped.
pub struct InFlightGuard(AppState);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.0.in_flight.send_modify(|in_flight| *in_flight -= 1);
    }
}

/// What a served model supports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Conversations: the model has a chat template.
    pub chat: bool,
    /// Tool calls.
    pub tools: bool,
    /// Reasoning before the response.
    pub reasoning: bool,
    /// Images in messages.
    pub vision: bool,
    /// Embeddings of texts.
    pub embeddings: bool,
}

/// A loaded model.
pub struct ServedModel {
    pub engine: Engine,
    pub chat: ChatModel,
}

impl AppState {
    /// A server whose model is still loading: `/health` works, other requests get status 503.
    pub fn starting(options: ServerOptions) -> Self {
        Self::starting_with(options, MemoryStore::default())
    }

    /// As [`starting`](Self::starting), with a store for `/v1/responses`.
    pub fn starting_with(options: ServerOptions, responses: impl ResponseStore + 'static) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let worker = match (&options.owner, &options.access.api_key) {
            (Some(owner), Some(_)) => Some(Worker::new(owner.clone())),
            _ => None,
        };
        Self(Arc::new(Shared {
            worker,
            options,
            created: now.as_secs(),
            metrics: Metrics::default(),
            responses: Box::new(responses),
            model: OnceLock::new(),
            draining: AtomicBool::new(false),
            in_flight: watch::Sender::new(0),
        }))
    }

    /// Serves `engine` from now on. Further calls have no effect.
    pub fn ready(&self, engine: Engine) {
        self.0
            .model
            .get_or_init(|| ServedModel::new(engine, self.options()));
    }

    /// Rejects new requests from now on.
    pub(crate) fn start_draining(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Counts a completion in progress.
    pub(crate) fn track_request(&self) -> InFlightGuard {
        self.0.in_flight.send_modify(|in_flight| *in_flight += 1);
        InFlightGuard(self.clone())
    }

    /// Waits until no completion is in progress.
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

    /// What is offered to the owner alone, if the server has one and a key.
    pub(crate) fn worker(&self) -> Option<&Worker> {
        self.0.worker.as_ref()
    }

    /// What the model supports; `None` while it is loading.
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.loaded().map(ServedModel::capabilities)
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

    /// The model.
    ///
    /// # Errors
    /// Status 503 while the model is loading and during shutdown.
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

    /// The names of the model. The alias `*` is none.
    pub(crate) fn names(&self) -> Vec<&str> {
        let options = self.options();
        let mut names = vec![options.model.as_str()];
        for alias in &options.aliases {
            if alias != "*" && !names.contains(&alias.as_str()) {
                names.push(alias);
            }
        }
        names
    }

    /// Whether `name` is a name of the model.
    pub(crate) fn serves(&self, name: &str) -> bool {
        let options = self.options();
        name == options.model
            || options
                .aliases
                .iter()
                .any(|alias| alias == name || alias == "*")
            || options.hidden_aliases.iter().any(|alias| alias == name)
    }

    /// The model, if `name` is one of its names, empty or absent.
    ///
    /// # Errors
    /// Status 404 for another name, 503 as [`model`](Self::model).
    pub(crate) fn model_named(&self, name: Option<&str>) -> Result<&ServedModel, ApiError> {
        match name {
            Some(name) if !name.is_empty() && !self.serves(name) => {
                Err(ApiError::unknown_model(name, &self.options().model))
            }
            _ => self.model(),
        }
    }

    /// The model name of a response: that of the request, if it has one.
    pub(crate) fn response_model(&self, requested: Option<String>) -> String {
        let requested = requested.filter(|name| !name.is_empty());
        requested.unwrap_or_else(|| self.options().model.clone())
    }
}

impl ServedModel {
    /// What the model supports.
    pub fn capabilities(&self) -> Capabilities {
        let has_chat_template = self.chat.template().is_ok();
        Capabilities {
            chat: has_chat_template,
            tools: has_chat_template,
            reasoning: self.chat.supports_reasoning(),
            vision: false,
            embeddings: false,
        }
    }

    fn new(engine: Engine, options: &ServerOptions) -> Self {
        let chat = ChatOptions {
            format: options.format,
            keep_billing_header: options.keep_billing_header,
            max_n: Some(options.limits.completions),
            ..ChatOptions::default()
        };
        Self {
            chat: ChatModel::with_options(&engine, chat),
            engine,
        }
    }
}

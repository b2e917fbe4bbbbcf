//! The model that is served, and the limits of its service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mlxm_chat::ChatModel;
use mlxm_chat::constraint::Compiler;
use mlxm_chat::parsing::{Format, ReasoningFormat};
use mlxm_chat::template::ChatTemplate;
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

/// Parts of a [`Format`] that are chosen by hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct FormatOverride {
    /// How tool calls are written; `Some(None)` reads none.
    pub tools: Option<Option<mlxm_chat::parsing::ToolFormat>>,
    /// How reasoning is marked; `Some(None)` leaves it in the answer.
    pub reasoning: Option<Option<ReasoningFormat>>,
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

/// A loaded model and what is known about how it writes.
pub struct ServedModel {
    pub engine: Engine,
    pub chat: ChatModel,
    pub format: Format,
    pub keep_billing_header: bool,
    /// Makes constraints of grammars.
    pub compiler: Compiler,
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
        let chosen = options.format;
        let chat = ChatModel::from_engine(&engine);
        let template = chat.template().ok();
        let source = template.and_then(|template| default_source(template));
        let detected = Format::detect(source, &engine.info().model_type);
        let format = Format {
            tools: chosen.tools.unwrap_or(detected.tools),
            reasoning: chosen.reasoning.unwrap_or(detected.reasoning),
        };
        Self {
            compiler: Compiler::for_engine(&engine),
            engine,
            chat,
            format,
            keep_billing_header: options.keep_billing_header,
        }
    }
}

impl ServedModel {
    /// Special tokens that mark parts of an answer in this format.
    pub fn markers(&self, format: Format) -> Arc<[u32]> {
        let markers = format.markers().into_iter();
        markers
            .filter_map(|marker| self.special_token(marker))
            .collect()
    }

    /// The id of a text that is a special token.
    pub fn special_token(&self, text: &str) -> Option<u32> {
        special_token(&self.engine, text)
    }

    /// Whether the chat template reads a variable of this name.
    pub fn template_mentions(&self, variable: &str) -> bool {
        let template = self.chat.template().ok();
        template
            .and_then(default_source)
            .is_some_and(|source| source.contains(variable))
    }

    /// Whether the model is known to reason before it answers.
    pub fn reasons(&self) -> bool {
        !matches!(self.format.reasoning, None | Some(ReasoningFormat::AnyTags))
    }

    /// The bytes of a token, which may be less than a character.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        token_bytes(&self.engine, id)
    }
}

/// The bytes of a token, which may be less than a character.
pub(crate) fn token_bytes(engine: &Engine, id: u32) -> Vec<u8> {
    let tokenizer = engine.tokenizer();
    tokenizer
        .token_bytes(id)
        .unwrap_or_else(|| tokenizer.decode(&[id], false).into_bytes())
}

fn special_token(engine: &Engine, text: &str) -> Option<u32> {
    let tokenizer = engine.tokenizer();
    tokenizer
        .token_to_id(text)
        .filter(|id| tokenizer.is_special(*id))
}

/// The template that tells how tools are called.
fn default_source(template: &ChatTemplate) -> Option<&str> {
    template
        .source("tool_use")
        .or_else(|| template.source("default"))
}

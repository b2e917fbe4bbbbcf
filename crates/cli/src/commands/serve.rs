//! `mlxm serve`: an HTTP server with OpenAI- and Anthropic-compatible APIs.

mod startup;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use mlxm_api::{
    AccessPolicy, AppState, CorsOrigin, FormatOverride, Limits, Owner, ServerOptions, Shutdown,
};
use mlxm_chat::parsing::{ReasoningFormat, ToolFormat};
use mlxm_engine::{CancelToken, Engine, LoadError};
use tokio::net::TcpListener;

use self::startup::{Ready, Stage, Startup};
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::InterruptGuard;
use crate::locate;
use crate::{logging, units};

const HELP: &str = "\
The base URL is http://HOST:PORT/v1 for OpenAI clients and http://HOST:PORT for Anthropic clients. The model is \
served under the name given with --model, or under the name of its directory; --alias adds more names. The first \
Ctrl-C or SIGTERM shuts down gracefully, the second one exits immediately.

Examples:
  mlxm serve --model SmolLM2
  mlxm serve --model mlx-community/Qwen3-4B-4bit --port 9000 --max-sequences 8 --alias gpt-4o
  MLXM_API_KEY=secret mlxm serve --model SmolLM2 --host 0.0.0.0
  mlxm serve --model SmolLM2 --port 0 --json          print progress and the port as JSON

Routes: /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages, /v1/messages/count_tokens, /v1/models, \
/tokenize, /detokenize, /apply-template, /health, /metrics, /openapi.json.";

/// Start an HTTP server with OpenAI- and Anthropic-compatible APIs
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Serve {
    /// Model directory, repository ID (owner/name), or unique part of a local model name
    #[arg(long, short, value_name = "MODEL")]
    model: String,

    /// IP address to listen on; addresses other than loopback require an API key
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,

    /// Port to listen on; 0 selects a free port
    #[arg(long, short, default_value_t = 8080)]
    port: u16,

    /// API key that clients must send
    #[arg(
        long,
        value_name = "KEY",
        env = "MLXM_API_KEY",
        hide_env_values = true,
        conflicts_with = "api_key_file"
    )]
    api_key: Option<String>,

    /// File containing the API key
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    /// Allow web pages of this origin to send requests, such as http://localhost:3000, or `*` for all; can be repeated
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<CorsOrigin>,

    /// Accept requests for this host name, such as that of a local proxy; can be repeated. Without an API key, a server on a
    /// loopback address accepts only loopback names
    #[arg(long, value_name = "HOST")]
    allowed_host: Vec<String>,

    /// Additional served model name; can be repeated; `*` accepts any name
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,

    /// Reject requests with unknown fields instead of returning a `warning` header
    #[arg(long)]
    strict: bool,

    /// Keep the x-anthropic-billing-header line that Claude Code adds to the system prompt; it changes with each request
    /// and prevents prefix cache hits
    #[arg(long, alias = "keep-client-nonces")]
    keep_billing_header: bool,

    /// Context length in tokens, prompt and completion together [default: the largest of the model's maximum, 64k,
    /// 32k, 16k and 8k that fits in memory]
    #[arg(long, value_name = "N", alias = "context", value_parser = clap::value_parser!(u32).range(2..))]
    context_length: Option<u32>,

    /// Maximum number of concurrent sequences
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_sequences: u16,

    /// KV cache size in tokens, shared by all sequences [default: as many as fit in memory, up to --context-length for
    /// each sequence]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    kv_pool_tokens: Option<u64>,

    /// Maximum number of queued requests; further requests are rejected
    #[arg(long, value_name = "N", alias = "max-waiting", default_value_t = 256)]
    max_queued_requests: u32,

    /// Maximum number of batched tokens per step; larger values speed up prefill but increase inter-token latency
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    max_batch_tokens: u32,

    /// Tool call parser [default: detected from the chat template]
    #[arg(long, value_name = "NAME", alias = "tool-parser", value_parser = tool_call_parser())]
    tool_call_parser: Option<Choice<ToolFormat>>,

    /// Reasoning parser [default: detected from the chat template]
    #[arg(long, value_name = "NAME", value_parser = reasoning_parser())]
    reasoning_parser: Option<Choice<ReasoningFormat>>,

    /// Request timeout in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    request_timeout: u32,

    /// Maximum request body size
    #[arg(long, value_name = "SIZE", default_value = "32MB", value_parser = units::parse_bytes)]
    max_body: u64,

    /// Graceful shutdown timeout in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        alias = "drain-timeout",
        default_value_t = 30
    )]
    shutdown_timeout: u32,

    /// Log level
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: logging::Level,

    /// Log format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// OpenTelemetry collector to export traces to, using OTLP over HTTP
    #[arg(
        long,
        value_name = "URL",
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        hide_env_values = true
    )]
    otlp_endpoint: Option<String>,

    /// Process that the server works for: the server shuts down after the process has exited. With an API key, the process
    /// can also use the routes under /internal
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    owner: Option<u32>,

    /// Seconds to continue after the owner has exited, during which another process can become the owner
    #[arg(long, value_name = "SECONDS", default_value_t = 0, requires = "owner")]
    orphan_grace: u32,

    /// `--owner` with the parent process
    #[arg(long, hide = true, conflicts_with = "owner")]
    exit_with_parent: bool,
}

/// Log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// A parser, or `none`.
#[derive(Debug, Clone, Copy)]
struct Choice<T>(Option<T>);

fn tool_call_parser() -> impl TypedValueParser<Value = Choice<ToolFormat>> {
    let names = ToolFormat::ALL
        .iter()
        .map(|format| PossibleValue::new(format.as_str()).aliases(format.aliases()));
    PossibleValuesParser::new(names.chain([PossibleValue::new("none")]))
        .map(|name| Choice(name.parse().ok()))
}

fn reasoning_parser() -> impl TypedValueParser<Value = Choice<ReasoningFormat>> {
    let names = ReasoningFormat::ALL.iter().map(|format| format.as_str());
    PossibleValuesParser::new(names.chain(["none"])).map(|name| Choice(name.parse().ok()))
}

impl Serve {
    /// Serves until shutdown.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let startup = Startup::new(&context.output);
        let result = self.serve(context, &startup);
        if let Err(error) = &result {
            startup.failed(error);
        }
        result
    }

    fn serve(self, context: &Context, startup: &Startup) -> anyhow::Result<()> {
        // Read first: the process may exit while the model loads.
        let parent = self
            .exit_with_parent
            .then(std::os::unix::process::parent_id);
        let owner = self.owner.or(parent).map(Owner::new);
        let key = self.key()?;
        if !self.host.is_loopback() && key.is_none() {
            let message = format!(
                "an API key is required to listen on {}, which is reachable from other machines",
                self.host
            );
            return Err(Failure::with_hint(
                message,
                "set MLXM_API_KEY or --api-key-file, or omit --host",
            )
            .into());
        }
        startup.enter(Stage::Model);
        let resolved = locate::hub()?.resolve(&self.model)?;
        startup.enter(Stage::Options);
        // A path says nothing to clients, and they must not learn it.
        let name = resolved
            .directory_name()
            .unwrap_or_else(|| self.model.clone());
        let path = resolved.path;
        let endpoint = self
            .otlp_endpoint
            .as_deref()
            .filter(|text| !text.is_empty());
        let json = self.log_format == LogFormat::Json;
        let _logging = logging::install(self.log_level, json, endpoint)?;
        let server = AppState::starting(ServerOptions {
            model: name.clone(),
            aliases: self.alias.clone(),
            hidden_aliases: vec![self.model.clone()],
            strict: self.strict,
            access: AccessPolicy {
                api_key: key,
                loopback: self.host.is_loopback(),
                allowed_hosts: self.allowed_host.clone(),
                cors_origins: self.cors.clone(),
            },
            keep_billing_header: self.keep_billing_header,
            format: FormatOverride {
                tools: self.tool_call_parser.map(|choice| choice.0),
                reasoning: self.reasoning_parser.map(|choice| choice.0),
            },
            limits: Limits {
                body_bytes: usize::try_from(self.max_body).unwrap_or(usize::MAX),
                request_timeout: Duration::from_secs(self.request_timeout.into()),
                ..Limits::default()
            },
            // The parent is watched only.
            owner: owner.clone().filter(|_| self.owner.is_some()),
        });
        let mut options = context.load_options();
        options.context_length = self.context_length.map(|length| length as usize);
        options.max_sequences = self.max_sequences.into();
        options.max_queued_requests = self.max_queued_requests as usize;
        options.max_batch_tokens = self.max_batch_tokens as usize;
        options.kv_pool_tokens = self
            .kv_pool_tokens
            .map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start the server runtime")?;
        runtime.block_on(async {
            startup.enter(Stage::Address);
            let address = SocketAddr::new(self.host, self.port);
            let listener = TcpListener::bind(address)
                .await
                .map_err(|error| unavailable(address, &error))?;
            let port = listener
                .local_addr()
                .context("the listener has no address")?
                .port();
            let shutdown = Shutdown::default();
            let deadline = Duration::from_secs(self.shutdown_timeout.into());
            let guard = InterruptGuard::start();
            let cancel = CancelToken::default();
            let stop = Stop {
                shutdown: shutdown.clone(),
                load: cancel.clone(),
            };
            let grace = Duration::from_secs(self.orphan_grace.into());
            tokio::spawn(stop_on_request(stop, guard, owner, grace));
            let serving = tokio::spawn(mlxm_api::serve(
                listener,
                server.clone(),
                shutdown,
                deadline,
            ));
            startup.enter(Stage::Load);
            let load = || {
                let progress = |progress| startup.loading(progress);
                context.load_with_progress(&path, &options, &cancel, &progress)
            };
            match tokio::task::block_in_place(load) {
                // The shutdown has started.
                Err(LoadError::Cancelled) => {}
                Err(error) => return Err(error.into()),
                Ok(engine) => {
                    server.ready(engine.clone());
                    let announced = startup.ready(&Ready {
                        url: &format!("http://{}", SocketAddr::new(self.host, port)),
                        port,
                        model: &name,
                        capabilities: server.capabilities(),
                        plan: engine.memory_plan(),
                    });
                    // An owner that is gone does not read it; another one may take over.
                    if self.owner.is_none() {
                        announced?;
                    }
                    promote_huge_pages(engine);
                }
            }
            let complete = serving
                .await
                .context("the server failed")?
                .context("the server failed")?;
            if !complete {
                tracing::warn!("shutdown timeout reached: running requests were cancelled");
            }
            Ok(())
        })
    }

    fn key(&self) -> anyhow::Result<Option<String>> {
        let key = match &self.api_key_file {
            None => self.api_key.clone(),
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                Some(text.trim().to_owned())
            }
        };
        if key.as_deref() == Some("") {
            return Err(Failure::Usage("the API key is empty".to_owned()).into());
        }
        Ok(key)
    }
}

/// Promotes huge pages in the background before the first requests.
fn promote_huge_pages(engine: Engine) {
    tokio::task::spawn_blocking(move || {
        // Fails only if the engine has stopped.
        let _ = engine.promote_huge_pages();
    });
}

fn unavailable(address: SocketAddr, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "the port is in use: choose another --port, or 0 for a free port"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 require privileges: choose another --port"
        }
        _ => "check --host and --port",
    };
    Failure::with_hint(format!("cannot listen on {address}: {error}"), hint)
}

/// How often Ctrl-C is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Stops the server, also while it loads its model.
struct Stop {
    shutdown: Shutdown,
    load: CancelToken,
}

/// Starts the shutdown on Ctrl-C, SIGTERM or when the owner has been gone for the time `grace`. A second SIGTERM exits, like a
/// second Ctrl-C.
async fn stop_on_request(stop: Stop, guard: InterruptGuard, owner: Option<Owner>, grace: Duration) {
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let orphaned = async {
        match &owner {
            Some(owner) => owner.orphaned(grace).await,
            None => std::future::pending().await,
        }
    };
    let mut orphaned = std::pin::pin!(orphaned);
    let mut stopping = false;
    loop {
        let terminated = async {
            match &mut terminate {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        let requested = tokio::select! {
            _ = terminated => {
                if stopping {
                    std::process::exit(EXIT_TERMINATED);
                }
                true
            }
            () = &mut orphaned, if !stopping => true,
            () = tokio::time::sleep(POLL_INTERVAL) => guard.requested(),
        };
        if requested && !stopping {
            stopping = true;
            tracing::info!(
                "shutting down: waiting for running requests (send the signal again to exit immediately)"
            );
            stop.shutdown.start();
            stop.load.cancel();
        }
    }
}

/// 128 + SIGTERM, as a shell reports it.
const EXIT_TERMINATED: i32 = 143;

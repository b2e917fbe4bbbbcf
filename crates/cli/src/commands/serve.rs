//! `mlxm serve`: one model behind the OpenAI and Anthropic APIs.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use mlxm_api::{AppState, CorsOrigin, FormatOverride, Limits, ServerOptions, Shutdown};
use mlxm_chat::parsing::{ReasoningFormat, ToolFormat};
use mlxm_engine::{Engine, LoadError, LoadOptions};
use serde_json::json;
use tokio::net::TcpListener;

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Watch;
use crate::locate;
use crate::output::Format;
use crate::{logging, units};

const HELP: &str = "\
Clients of OpenAI take http://HOST:PORT/v1 as their base URL, clients of Anthropic http://HOST:PORT. The model's
name is the one that was given here; --alias adds others. The first Ctrl-C or SIGTERM lets running answers end,
the second one ends the process.

Examples:
  mlxm serve --model SmolLM2
  mlxm serve --model mlx-community/Qwen3-4B-4bit --port 9000 --max-sequences 8 --alias gpt-4o
  MLXM_API_KEY=secret mlxm serve --model SmolLM2 --host 0.0.0.0
  mlxm serve --model SmolLM2 --port 0 --json          prints one line with the port once it is ready

Routes: /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages, /v1/messages/count_tokens, /v1/models,
/tokenize, /detokenize, /apply-template, /health, /metrics.";

/// Serve a model behind the OpenAI and Anthropic APIs
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Serve {
    /// Folder, repository name, or part of a local name
    #[arg(long, short, value_name = "MODEL")]
    model: String,

    /// Address to listen on; beyond this machine only with a key
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,

    /// Port to listen on; 0 takes a free one
    #[arg(long, short, default_value_t = 8080)]
    port: u16,

    /// Key that clients must send
    #[arg(
        long,
        value_name = "KEY",
        env = "MLXM_API_KEY",
        hide_env_values = true,
        conflicts_with = "api_key_file"
    )]
    api_key: Option<String>,

    /// File with the key that clients must send
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    /// Allow web pages of this origin to send requests, such as http://localhost:3000, or `*` for all; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<CorsOrigin>,

    /// Another name for the model, may be repeated; `*` takes any name
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,

    /// Refuse requests with fields that nobody knows, instead of a `warning` header
    #[arg(long)]
    strict: bool,

    /// Keep lines of the system prompt that known clients change with every request, so that nothing behind them is found
    /// in the cache (Claude Code's x-anthropic-billing-header)
    #[arg(long)]
    keep_client_nonces: bool,

    /// Tokens of prompt and answer together [default: what the model was made for, at most 8192]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    context: Option<u32>,

    /// Answers that are generated at once; further requests wait
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_sequences: u16,

    /// Tokens that the cache of keys and values holds, for all answers together [default: as many as fit, at most a
    /// full context for each]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    kv_pool_tokens: Option<u64>,

    /// Requests that may wait; further ones are refused
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_waiting: u32,

    /// Tokens computed in one step at most: more make prompts faster and delay running answers more
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    max_batch_tokens: u32,

    /// How tool calls are written [default: as the model's chat template says]
    #[arg(long, value_name = "NAME", value_parser = tool_parser())]
    tool_parser: Option<Choice<ToolFormat>>,

    /// How reasoning is marked [default: as the model's chat template says]
    #[arg(long, value_name = "NAME", value_parser = reasoning_parser())]
    reasoning_parser: Option<Choice<ReasoningFormat>>,

    /// Seconds from a request to the end of its answer at most
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    request_timeout: u32,

    /// Largest request body
    #[arg(long, value_name = "SIZE", default_value = "32MB", value_parser = units::parse_bytes)]
    max_body: u64,

    /// Seconds that running answers have to end after the first Ctrl-C or SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain_timeout: u32,

    /// Least important messages that are logged, on stderr
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: logging::Level,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// Send traces to the OpenTelemetry collector at this address, by OTLP over HTTP
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,

    /// End when the process that started this one ends
    #[arg(long)]
    exit_with_parent: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// A parser's name, or none.
#[derive(Debug, Clone, Copy)]
struct Choice<T>(Option<T>);

fn tool_parser() -> impl TypedValueParser<Value = Choice<ToolFormat>> {
    let names = ToolFormat::ALL.iter().map(|format| format.as_str());
    PossibleValuesParser::new(names.chain(["none"])).map(|name| Choice(name.parse().ok()))
}

fn reasoning_parser() -> impl TypedValueParser<Value = Choice<ReasoningFormat>> {
    let names = ReasoningFormat::ALL.iter().map(|format| format.as_str());
    PossibleValuesParser::new(names.chain(["none"])).map(|name| Choice(name.parse().ok()))
}

impl Serve {
    /// Serves until it is told to stop.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let key = self.key()?;
        if !self.host.is_loopback() && key.is_none() {
            let message = format!(
                "{} can be reached from other machines, so a key is needed",
                self.host
            );
            return Err(Failure::advised(
                message,
                "set MLXM_API_KEY or --api-key-file, or leave --host out",
            )
            .into());
        }
        let path = locate::local(&self.model)?;
        let endpoint = self
            .otlp_endpoint
            .as_deref()
            .filter(|text| !text.is_empty());
        let json = self.log_format == LogFormat::Json;
        let _logging = logging::install(self.log_level, json, endpoint)?;
        let server = AppState::starting(ServerOptions {
            model: self.model.clone(),
            aliases: self.alias.clone(),
            api_key: key,
            strict: self.strict,
            cors_origins: self.cors.clone(),
            keep_billing_header: self.keep_client_nonces,
            format: FormatOverride {
                tools: self.tool_parser.map(|choice| choice.0),
                reasoning: self.reasoning_parser.map(|choice| choice.0),
            },
            limits: Limits {
                body_bytes: usize::try_from(self.max_body).unwrap_or(usize::MAX),
                request_timeout: Duration::from_secs(self.request_timeout.into()),
                ..Limits::default()
            },
        });
        let mut options = context.load_options();
        options.context_length = self.context.map(|length| length as usize);
        options.max_sequences = self.max_sequences.into();
        options.max_queued_requests = self.max_waiting as usize;
        options.max_batch_tokens = self.max_batch_tokens as usize;
        options.kv_pool_tokens = match self.kv_pool_tokens {
            Some(tokens) => Some(usize::try_from(tokens).unwrap_or(usize::MAX)),
            None => fitting_pool(&path, &options)?,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start the threads of the server")?;
        runtime.block_on(async {
            let address = SocketAddr::new(self.host, self.port);
            let listener = TcpListener::bind(address)
                .await
                .map_err(|error| unavailable(address, &error))?;
            let port = listener
                .local_addr()
                .context("the listener has no address")?
                .port();
            let shutdown = Shutdown::default();
            let deadline = Duration::from_secs(self.drain_timeout.into());
            let watch = Watch::start();
            tokio::spawn(stop_on_signal(
                shutdown.clone(),
                watch,
                self.exit_with_parent,
            ));
            let serving = tokio::spawn(mlxm_api::serve(
                listener,
                server.clone(),
                shutdown,
                deadline,
            ));
            let engine = tokio::task::block_in_place(|| context.load(&path, &options))?;
            server.ready(engine.clone());
            self.announce(context, port)?;
            promote_huge_pages(engine);
            let complete = serving
                .await
                .context("the server failed")?
                .context("the server failed")?;
            if !complete {
                tracing::warn!("answers that were still running have been cancelled");
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

    /// Says that requests are taken.
    fn announce(&self, context: &Context, port: u16) -> anyhow::Result<()> {
        let url = format!("http://{}", SocketAddr::new(self.host, port));
        if context.output.format() == Format::Json {
            let ready = json!({
                "event": "ready",
                "url": url,
                "port": port,
                "model": self.model,
                "pid": std::process::id(),
                "version": env!("CARGO_PKG_VERSION"),
            });
            context.output.line(&ready.to_string())?;
        } else {
            context
                .output
                .note(&format!("serving {} at {url} (Ctrl-C stops)", self.model));
        }
        Ok(())
    }
}

/// Tokens of a pool that is smaller than a full context for each answer, where that does not fit; at least one context.
fn fitting_pool(model: &Path, options: &LoadOptions) -> Result<Option<usize>, LoadError> {
    let Some(memory) = options.memory_bytes else {
        return Ok(None);
    };
    let alone = LoadOptions {
        max_sequences: 1,
        ..options.clone()
    };
    let (_, plan) = mlxm_engine::inspect(model, &alone)?;
    let all = plan.context_length.saturating_mul(options.max_sequences);
    let left = memory.saturating_sub(plan.total_bytes);
    // More answers at once take more scratch, too; a twentieth is more than that.
    let more = (left - left / 20) / plan.kv_bytes_per_token.max(1);
    let tokens = plan.context_length.saturating_add(more as usize);
    Ok((tokens < all).then_some(tokens))
}

/// Nobody waits yet: the time to lay out the weights.
fn promote_huge_pages(engine: Engine) {
    tokio::task::spawn_blocking(move || {
        // An engine that has stopped needs no layout.
        let _ = engine.promote_huge_pages();
    });
}

fn unavailable(address: SocketAddr, error: &std::io::Error) -> Failure {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program listens there: choose another --port, or 0 for a free one"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges: choose another --port"
        }
        _ => "check --host and --port",
    };
    Failure::advised(format!("cannot listen on {address}: {error}"), advice)
}

/// How often Ctrl-C and the parent are looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Starts the shutdown on Ctrl-C, SIGTERM or the parent's end; a second SIGTERM ends the process, as a second Ctrl-C does.
async fn stop_on_signal(shutdown: Shutdown, watch: Watch, with_parent: bool) {
    let parent = std::os::unix::process::parent_id();
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let mut stopping = false;
    loop {
        let terminated = async {
            match &mut terminate {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        let told = tokio::select! {
            _ = terminated => {
                if stopping {
                    std::process::exit(EXIT_TERMINATED);
                }
                true
            }
            () = tokio::time::sleep(POLL_INTERVAL) => {
                watch.requested() || with_parent && std::os::unix::process::parent_id() != parent
            }
        };
        if told && !stopping {
            stopping = true;
            tracing::info!(
                "shutting down once running answers have ended; another signal does it at once"
            );
            shutdown.start();
        }
    }
}

/// As a shell tells of a process that SIGTERM has ended.
const EXIT_TERMINATED: i32 = 143;

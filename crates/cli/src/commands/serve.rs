//! `mlxm serve`: an HTTP server with OpenAI- and Anthropic-compatible APIs, for all local models or for one.

mod gateway;
mod startup;
mod stop;
mod worker;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use mlxm_api::CorsOrigin;
use mlxm_chat::parsing::{ReasoningFormat, ToolFormat};

use self::startup::Startup;
use crate::context::Context;
use crate::failure::Failure;
use crate::logging::{self, Logging, OwnLog};
use crate::units;

const HELP: &str = "\
Without --model, the server is a gateway for all local models and profiles: it loads the model that a request names in a \
process of its own, and stops models when their memory is needed or after half an hour without requests. Models are configured \
in profiles (`mlxm profile`), the gateway with `mlxm config`.

With --model, the server has one model. It is served under the name given with --model, or under the name of its directory; \
--alias adds more names.

The base URL is http://HOST:PORT/v1 for OpenAI clients and http://HOST:PORT for Anthropic clients. The first Ctrl-C or SIGTERM \
shuts down gracefully, the second one exits immediately.

Examples:
  mlxm serve
  MLXM_API_KEY=secret mlxm serve --host 0.0.0.0
  mlxm serve --model SmolLM2
  mlxm serve --model mlx-community/Qwen3-4B-4bit --port 9000 --max-sequences 8 --alias gpt-4o
  mlxm serve --model SmolLM2 --port 0 --json          print progress and the port as JSON

Routes: /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages, /v1/messages/count_tokens, /v1/models, \
/tokenize, /detokenize, /apply-template, /health, /metrics, /openapi.json.";

/// The address of a server without --host.
const DEFAULT_HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DEFAULT_PORT: u16 = 8080;

/// Start an HTTP server with OpenAI- and Anthropic-compatible APIs
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Serve {
    /// Serve only this model: a directory, repository ID (owner/name), or unique part of a local model name
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,

    /// IP address to listen on; addresses other than loopback require an API key [default: 127.0.0.1]
    #[arg(long)]
    host: Option<IpAddr>,

    /// Port to listen on; 0 selects a free port [default: 8080]
    #[arg(long, short)]
    port: Option<u16>,

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

    /// Maximum number of concurrent sequences [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    max_sequences: Option<u16>,

    /// KV cache size in tokens, shared by all sequences [default: as many as fit in memory, up to --context-length for
    /// each sequence]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    kv_pool_tokens: Option<u64>,

    /// Maximum number of queued requests; further requests are rejected [default: 256]
    #[arg(long, value_name = "N", alias = "max-waiting")]
    max_queued_requests: Option<u32>,

    /// Maximum number of batched tokens per step; larger values speed up prefill but increase inter-token latency
    /// [default: 512]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    max_batch_tokens: Option<u32>,

    /// Tool call parser [default: detected from the chat template]
    #[arg(long, value_name = "NAME", alias = "tool-parser", value_parser = tool_call_parser())]
    tool_call_parser: Option<Choice<ToolFormat>>,

    /// Reasoning parser [default: detected from the chat template]
    #[arg(long, value_name = "NAME", value_parser = reasoning_parser())]
    reasoning_parser: Option<Choice<ReasoningFormat>>,

    /// Request timeout in seconds [default: 3600]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    request_timeout: Option<u32>,

    /// Maximum request body size [default: 32MB]
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    max_body: Option<u64>,

    /// Graceful shutdown timeout in seconds [default: 30]
    #[arg(long, value_name = "SECONDS", alias = "drain-timeout")]
    shutdown_timeout: Option<u32>,

    /// Leave models running when the gateway exits; a gateway that starts within a minute takes them over
    #[arg(long, conflicts_with = "model")]
    keep_workers: bool,

    /// Do not open the web page in the browser. By default, a gateway that is started on a terminal opens it when it is ready,
    /// unless the machine has no display or the terminal is that of an SSH session
    #[arg(long, conflicts_with = "model")]
    no_open: bool,

    /// Log level [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<logging::Level>,

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
        let result = match &self.model {
            Some(model) => self.serve_model(model, context, &startup),
            None => self.serve_gateway(context, &startup),
        };
        if let Err(error) = &result {
            startup.failed(error);
        }
        result
    }

    /// Installs the log: on stderr, and in `file`.
    fn install_logging(
        &self,
        level: logging::Level,
        file: Option<Arc<OwnLog>>,
    ) -> Result<Logging, Failure> {
        let json = self.log_format == LogFormat::Json;
        logging::install(level, json, self.otlp_endpoint(), file)
    }

    /// The collector of traces.
    fn otlp_endpoint(&self) -> Option<&str> {
        let endpoint = self.otlp_endpoint.as_deref();
        endpoint.filter(|text| !text.is_empty())
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

fn needs_key(host: IpAddr) -> Failure {
    Failure::with_hint(
        format!(
            "an API key is required to listen on {host}, which is reachable from other machines"
        ),
        "set MLXM_API_KEY or --api-key-file, or omit --host",
    )
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

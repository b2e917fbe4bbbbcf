//! Logging to stderr and OpenTelemetry trace export.

use clap::ValueEnum;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

use crate::failure::Failure;

/// Log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => Self::OFF,
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

/// Flushes pending traces when dropped.
pub struct Logging {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.traces.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!("failed to flush traces to the collector: {error}");
        }
    }
}

/// Installs the global subscriber: text or JSON lines on stderr, and trace export to the collector at `otlp`, if any.
///
/// # Errors
/// If `otlp` is not an HTTP URL.
pub fn install(level: Level, json: bool, otlp: Option<&str>) -> Result<Logging, Failure> {
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
        lines.with_ansi(ansi).boxed()
    };
    let traces = otlp.map(provider).transpose()?;
    // Export only spans of this workspace, not those of libraries.
    let own = Targets::new().with_target("mlxm", LevelFilter::INFO);
    let spans = traces.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("mlxm"));
        layer
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(own)
    });
    registry()
        .with(spans)
        .with(lines.with_filter(LevelFilter::from(level)))
        .init();
    Ok(Logging { traces })
}

/// Prints warnings of this workspace to stderr, for commands that have no log.
pub fn install_warnings() {
    let own = Targets::new().with_target("mlxm", LevelFilter::WARN);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .without_time();
    registry().with(lines.with_filter(own)).init();
}

/// A provider that exports traces in batches.
fn provider(endpoint: &str) -> Result<SdkTracerProvider, Failure> {
    const PATH: &str = "/v1/traces";
    let base = endpoint.trim_end_matches('/');
    let address = match base.strip_suffix(PATH) {
        Some(_) => base.to_owned(),
        None => format!("{base}{PATH}"),
    };
    let invalid = |problem: &dyn std::fmt::Display| {
        Failure::with_hint(
            format!("cannot send traces to {endpoint}: {problem}"),
            "set the collector URL, for example --otlp-endpoint http://127.0.0.1:4318",
        )
    };
    if !(address.starts_with("http://") || address.starts_with("https://")) {
        return Err(invalid(&"the URL must start with http:// or https://"));
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(address)
        .build()
        .map_err(|error| invalid(&error))?;
    // The builder reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("mlxm");
    }
    Ok(SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(exporter)
        .build())
}

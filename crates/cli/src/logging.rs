//! Log lines on stderr, and traces for a collector.

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

/// The least important messages that are shown.
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

/// What has to live as long as something is logged. What a collector has not got yet is sent when this is dropped.
pub struct Logging {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.traces.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!("the last traces may not have reached the collector: {error}");
        }
    }
}

/// Shows what is logged from now on; with `json` an object per line. Sends traces to the collector at `otlp`, if any.
///
/// # Errors
/// When `otlp` is no address.
pub fn install(level: Level, json: bool, otlp: Option<&str>) -> Result<Logging, Failure> {
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
        lines.with_ansi(ansi).boxed()
    };
    let traces = otlp.map(provider).transpose()?;
    // Libraries have spans of their own, which say nothing about a request.
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

/// Sends traces to a collector, in the background and some at a time.
fn provider(endpoint: &str) -> Result<SdkTracerProvider, Failure> {
    const PATH: &str = "/v1/traces";
    let base = endpoint.trim_end_matches('/');
    let address = match base.strip_suffix(PATH) {
        Some(_) => base.to_owned(),
        None => format!("{base}{PATH}"),
    };
    let refused = |problem: &dyn std::fmt::Display| {
        Failure::advised(
            format!("cannot send traces to {endpoint}: {problem}"),
            "give the collector's address, such as --otlp-endpoint http://127.0.0.1:4318",
        )
    };
    if !(address.starts_with("http://") || address.starts_with("https://")) {
        return Err(refused(&"it is no http:// or https:// address"));
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(address)
        .build()
        .map_err(|error| refused(&error))?;
    // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are read by it.
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("mlxm");
    }
    Ok(SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_batch_exporter(exporter)
        .build())
}

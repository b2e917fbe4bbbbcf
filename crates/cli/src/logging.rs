//! Logging to stderr and a file, and OpenTelemetry trace export.

mod own_log;

use std::io::IsTerminal as _;
use std::sync::Arc;

use clap::ValueEnum;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::OptionalWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt, registry, reload};

pub use self::own_log::OwnLog;
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

impl Level {
    /// Its name in options and settings.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The level with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        <Self as ValueEnum>::from_str(name, false).ok()
    }
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

/// The installed log. Flushes pending traces when dropped.
pub struct Logging {
    traces: Option<SdkTracerProvider>,
    set_level: SetLevel,
}

/// Changes the level of an installed log.
pub type SetLevel = Arc<dyn Fn(Level) + Send + Sync>;

impl Logging {
    /// The function that changes its level.
    pub fn set_level(&self) -> SetLevel {
        self.set_level.clone()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.traces.as_ref().map(SdkTracerProvider::shutdown) {
            tracing::warn!("failed to flush traces to the collector: {error}");
        }
    }
}

/// Installs the global subscriber: text or JSON lines on stderr, JSON lines in `file`, and trace export to the collector at
/// `otlp`, if any.
///
/// # Errors
/// If `otlp` is not an HTTP URL.
pub fn install(
    level: Level,
    json: bool,
    otlp: Option<&str>,
    file: Option<Arc<OwnLog>>,
) -> Result<Logging, Failure> {
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
    let (lines, set_level) = lines(level, json, file);
    registry().with(spans).with(lines).init();
    Ok(Logging { traces, set_level })
}

/// The layer that writes lines, and a function that changes its level.
fn lines<S>(
    level: Level,
    json: bool,
    file: Option<Arc<OwnLog>>,
) -> (Box<dyn Layer<S> + Send + Sync>, SetLevel)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let of_stderr = file.clone();
    let stderr = move || {
        let is_redirected = of_stderr.as_ref().is_some_and(|file| file.is_stderr());
        if is_redirected {
            OptionalWriter::none()
        } else {
            OptionalWriter::some(std::io::stderr())
        }
    };
    let lines = fmt::layer().with_writer(stderr).with_target(false);
    let lines: Box<dyn Layer<S> + Send + Sync> = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).boxed()
    };
    let file = file.map(|file| {
        let lines = fmt::layer().with_writer(file).with_target(false);
        lines.with_ansi(false).json().flatten_event(true)
    });
    let (filter, handle) = reload::Layer::new(LevelFilter::from(level));
    let set_level = move |level: Level| {
        // Fails only without the subscriber, which is global.
        let _ = handle.reload(LevelFilter::from(level));
    };
    let lines = lines.and_then(file).with_filter(filter).boxed();
    (lines, Arc::new(set_level))
}

/// Prints warnings of this workspace to stderr, for commands that have no log.
pub fn install_warnings() {
    let own = Targets::new().with_target("mlxm", LevelFilter::WARN);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
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

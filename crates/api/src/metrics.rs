//! Prometheus metrics of the HTTP server and of completions. docs/metrics.md lists all of them.

use std::fmt;
use std::time::Instant;

use mlxm_engine::RequestMetrics;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tracing::Span;
use tracing::field::Empty;

use crate::state::ServedModel;

/// Prefix of all names, where vLLM has `vllm:`.
const PREFIX: &str = "mlxm";

/// Labels of requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RouteLabels {
    /// The pattern of the route.
    pub route: String,
    /// The status of the response.
    pub status: u16,
}

impl EncodeLabelSet for RouteLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [
            ("route", self.route.as_str()),
            ("status", &self.status.to_string()),
        ]
        .encode(encoder)
    }
}

/// Metrics that the server counts itself. Those of the engine are read from it when `/metrics` is scraped.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    http_requests: Family<RouteLabels, Counter>,
    completions: CompletionMetrics,
}

/// Metrics that every completion contributes to.
#[derive(Debug, Clone)]
struct CompletionMetrics {
    time_to_first_token: Histogram,
    inter_token_latency: Histogram,
    e2e_latency: Histogram,
    queue_time: Histogram,
    succeeded: Family<[(&'static str, &'static str); 1], Counter>,
    aborted: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let http_requests = Family::default();
        registry.register(
            "http_requests",
            "HTTP requests by route and status",
            http_requests.clone(),
        );
        let completions = CompletionMetrics::register(&mut registry);
        Self {
            registry,
            http_requests,
            completions,
        }
    }
}

impl CompletionMetrics {
    fn register(registry: &mut Registry) -> Self {
        // The buckets double from `start` seconds.
        let mut histogram = |name: &str, help: &str, start: f64, buckets: u16| {
            let histogram = Histogram::new(exponential_buckets(start, 2.0, buckets));
            registry.register(name, help, histogram.clone());
            histogram
        };
        let time_to_first_token = histogram(
            "time_to_first_token_seconds",
            "Time from the arrival of the HTTP request to the first token",
            0.005,
            15,
        );
        let inter_token_latency = histogram(
            "inter_token_latency_seconds",
            "Time between consecutive tokens of a completion",
            0.0005,
            15,
        );
        let e2e_latency = histogram(
            "e2e_request_latency_seconds",
            "Time from the arrival of the HTTP request to the end of the completion",
            0.01,
            19,
        );
        let queue_time = histogram(
            "request_queue_time_seconds",
            "Time from submission to the first step that computes the request",
            0.001,
            16,
        );
        let succeeded = Family::default();
        registry.register(
            "request_success",
            "Finished completions by finish reason",
            succeeded.clone(),
        );
        let aborted = Counter::default();
        registry.register(
            "requests_aborted",
            "Completions that a disconnect, a timeout or an error ended early",
            aborted.clone(),
        );
        Self {
            time_to_first_token,
            inter_token_latency,
            e2e_latency,
            queue_time,
            succeeded,
            aborted,
        }
    }
}

impl Metrics {
    /// Counts an HTTP response.
    pub fn record_response(&self, route: &str, status: u16) {
        let labels = RouteLabels {
            route: route.to_owned(),
            status,
        };
        self.http_requests.get_or_create(&labels).inc();
    }

    /// A timer for a completion of the current HTTP request, which was received at `received_at`.
    pub fn timer(&self, received_at: Instant) -> RequestTimer {
        RequestTimer {
            metrics: self.completions.clone(),
            received_at,
            last_token: None,
            finished: false,
            request: Span::current(),
            span: tracing::info_span!(
                "completion",
                gen_ai.usage.input_tokens = Empty,
                gen_ai.usage.cache_read.input_tokens = Empty,
                gen_ai.usage.output_tokens = Empty,
                queue_time_seconds = Empty,
                time_to_first_token_seconds = Empty,
                cancelled = Empty,
            ),
        }
    }

    /// All metrics in the OpenMetrics text format; those of the engine once a model is loaded.
    pub fn encode(&self, model: Option<&ServedModel>) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        if let Some(model) = model {
            // Only one end marker is allowed.
            let end = text.rfind("# EOF").unwrap_or(text.len());
            text.truncate(end);
            let mut registry = Registry::with_prefix(PREFIX);
            crate::engine_metrics::register(&mut registry, model);
            encode(&mut text, &registry)?;
        }
        Ok(text)
    }
}

/// Records the latencies of one completion as metrics and as a span. Dropping it before [`finished`](Self::finished) counts
/// the completion as aborted.
#[derive(Debug)]
pub struct RequestTimer {
    metrics: CompletionMetrics,
    received_at: Instant,
    last_token: Option<Instant>,
    finished: bool,
    span: Span,
    /// The span of the HTTP request. It would otherwise end when the headers of a stream are sent.
    request: Span,
}

impl RequestTimer {
    /// Records a token.
    pub fn token(&mut self) {
        let now = Instant::now();
        let (histogram, since) = match self.last_token.replace(now) {
            None => (&self.metrics.time_to_first_token, self.received_at),
            Some(last) => (&self.metrics.inter_token_latency, last),
        };
        histogram.observe((now - since).as_secs_f64());
    }

    /// Records the end of the completion; `finish_reason` as in OpenAI's API.
    pub fn finished(&mut self, metrics: &RequestMetrics, finish_reason: &'static str) {
        self.finished = true;
        let labels = [("finished_reason", finish_reason)];
        self.metrics.succeeded.get_or_create(&labels).inc();
        let latency = self.received_at.elapsed().as_secs_f64();
        self.metrics.e2e_latency.observe(latency);
        let queue_time = metrics.queue_time.as_secs_f64();
        self.metrics.queue_time.observe(queue_time);
        self.span
            .record("gen_ai.usage.input_tokens", metrics.prompt_tokens as i64)
            .record(
                "gen_ai.usage.cache_read.input_tokens",
                metrics.cached_tokens as i64,
            )
            .record(
                "gen_ai.usage.output_tokens",
                metrics.generated_tokens as i64,
            )
            .record("queue_time_seconds", queue_time)
            .record(
                "time_to_first_token_seconds",
                metrics.time_to_first_token.as_secs_f64(),
            );
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        if !self.finished {
            self.metrics.aborted.inc();
            self.span.record("cancelled", true);
        }
        drop(std::mem::replace(&mut self.span, Span::none()));
        // Exporters end a span when it is exited last. Entering it here keeps the span of the request open until now.
        let finished = self.finished;
        self.request
            .in_scope(|| tracing::debug!(finished, "completion ended"));
    }
}

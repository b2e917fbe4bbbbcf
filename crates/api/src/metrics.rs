//! Counts and times for `/metrics`.

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

/// A route and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RouteLabels {
    route: String,
    status: u16,
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

/// Everything that is counted here; the engine counts for itself.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RouteLabels, Counter>,
    time_to_first_token: Histogram,
    inter_token: Histogram,
    queue_time: Histogram,
    cancelled: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mlxm");
        let requests = Family::default();
        registry.register("requests", "Requests by route and status", requests.clone());
        let mut seconds = |name: &str, help: &str, start: f64, count: u16| {
            let histogram = Histogram::new(exponential_buckets(start, 2.0, count));
            registry.register(name, help, histogram.clone());
            histogram
        };
        let time_to_first_token = seconds(
            "time_to_first_token_seconds",
            "From a request's arrival to its first token",
            0.005,
            15,
        );
        let inter_token = seconds(
            "inter_token_seconds",
            "Between tokens of an answer",
            0.0005,
            15,
        );
        let queue_time = seconds(
            "queue_seconds",
            "From submission to the first computation",
            0.001,
            16,
        );
        let cancelled = Counter::default();
        registry.register(
            "answers_cancelled",
            "Answers whose client went away",
            cancelled.clone(),
        );
        Self {
            registry,
            requests,
            time_to_first_token,
            inter_token,
            queue_time,
            cancelled,
        }
    }
}

impl Metrics {
    /// Counts a response.
    pub fn request(&self, route: &str, status: u16) {
        let answered = RouteLabels {
            route: route.to_owned(),
            status,
        };
        self.requests.get_or_create(&answered).inc();
    }

    /// A clock for an answer to the current request, which arrived at `arrived`.
    pub fn timer(&self, arrived: Instant) -> RequestTimer {
        RequestTimer {
            time_to_first_token: self.time_to_first_token.clone(),
            inter_token: self.inter_token.clone(),
            queue_time: self.queue_time.clone(),
            cancelled: self.cancelled.clone(),
            arrived,
            last: None,
            finished: false,
            request: Span::current(),
            span: tracing::info_span!(
                "answer",
                gen_ai.usage.input_tokens = Empty,
                gen_ai.usage.cache_read.input_tokens = Empty,
                gen_ai.usage.output_tokens = Empty,
                queue_seconds = Empty,
                time_to_first_token_seconds = Empty,
                cancelled = Empty,
            ),
        }
    }

    /// The counts, and those of the engine.
    pub fn encode(&self, model: Option<&ServedModel>) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        if let Some(model) = model {
            // The end mark stands behind everything.
            let end = text.rfind("# EOF").unwrap_or(text.len());
            text.truncate(end);
            let mut registry = Registry::with_prefix("mlxm");
            crate::engine_metrics::register(&mut registry, model);
            encode(&mut text, &registry)?;
        }
        Ok(text)
    }
}

/// Notes when the tokens of one answer come, for metrics and traces.
#[derive(Debug)]
pub struct RequestTimer {
    time_to_first_token: Histogram,
    inter_token: Histogram,
    queue_time: Histogram,
    cancelled: Counter,
    arrived: Instant,
    last: Option<Instant>,
    finished: bool,
    span: Span,
    /// The span of the request, which would end with the headers of a stream.
    request: Span,
}

impl RequestTimer {
    /// A token came.
    pub fn token(&mut self) {
        let now = Instant::now();
        match self.last.replace(now) {
            None => self
                .time_to_first_token
                .observe((now - self.arrived).as_secs_f64()),
            Some(last) => self.inter_token.observe((now - last).as_secs_f64()),
        }
    }

    /// The answer is complete.
    pub fn finished(&mut self, statistics: &RequestMetrics) {
        self.finished = true;
        let queue_seconds = statistics.queue_time.as_secs_f64();
        self.queue_time.observe(queue_seconds);
        self.span
            .record("gen_ai.usage.input_tokens", statistics.prompt_tokens as i64)
            .record(
                "gen_ai.usage.cache_read.input_tokens",
                statistics.cached_tokens as i64,
            )
            .record(
                "gen_ai.usage.output_tokens",
                statistics.generated_tokens as i64,
            )
            .record("queue_seconds", queue_seconds)
            .record(
                "time_to_first_token_seconds",
                statistics.time_to_first_token.as_secs_f64(),
            );
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        if !self.finished {
            self.cancelled.inc();
            self.span.record("cancelled", true);
        }
        drop(std::mem::replace(&mut self.span, Span::none()));
        // For a collector, a span ends when it was left last: that of the request not before its answer.
        let finished = self.finished;
        self.request
            .in_scope(|| tracing::debug!(finished, "answer over"));
    }
}

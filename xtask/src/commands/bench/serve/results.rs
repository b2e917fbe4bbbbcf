//! Results of the server benchmark: every run and what is computed from them.

use super::run_metrics::RunMetrics;
use crate::commands::bench::engines::EngineInfo;
use crate::commands::bench::regression::{RegressionCheck, RowSpeed};
use crate::commands::bench::results::{Conditions, MAX_OTHER_CPUS, ModelInfo};
use crate::commands::bench::statistics::{Ratio, Summary, quantile};
use serde::Serialize;
use std::fmt;

/// Version of the JSON format.
pub const SCHEMA: u32 = 2;

/// The results of one `cargo xtask bench serve`.
#[derive(Debug, Serialize)]
pub struct Results {
    pub schema: u32,
    /// Why the result is unofficial.
    pub unofficial_reasons: Vec<String>,
    #[serde(flatten)]
    pub conditions: Conditions,
    /// mlxm, then its competitor.
    pub engines: Vec<EngineInfo>,
    pub models: Vec<ModelInfo>,
    pub measurements: Vec<Measurement>,
    /// With an mlxm baseline: whether mlxm's throughput is as high.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regression: Option<RegressionCheck>,
}

/// A load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "loop")]
pub enum Point {
    /// Clients that wait for each response.
    Closed { clients: usize },
    /// The same with short prompts and long outputs, so that nearly all time is spent in batched decoding.
    Long { clients: usize },
    /// Arrivals at this rate, in requests per second.
    Open { rate: f64 },
    /// One client that sends each prompt twice, with different endings.
    RepeatedPrompt,
}

/// One point for one model.
#[derive(Debug, Serialize)]
pub struct Measurement {
    pub model: &'static str,
    #[serde(flatten)]
    pub point: Point,
    /// In the order of the engines.
    pub series: Vec<Series>,
    /// mlxm relative to its competitor.
    pub ratio: Option<Comparison>,
}

/// The runs of one server, in the order they were made.
#[derive(Debug, Serialize)]
pub struct Series {
    pub engine: String,
    pub command: String,
    pub output_tps: Summary,
    pub requests_per_second: Summary,
    /// Over the responses of all runs.
    pub latency: Latency,
    /// Share of the engine loop's time outside of forward passes, if the server reports it.
    pub outside_forward: Option<Summary>,
    pub peak_rss_bytes: Summary,
    pub samples: Vec<Sample>,
    /// Runs that were repeated because other programs were running.
    pub repeated: usize,
}

/// Latency seen by clients, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub requests: usize,
    pub ttft_p50_ms: f64,
    pub ttft_p90_ms: f64,
    pub inter_token_p50_ms: f64,
    pub inter_token_p90_ms: f64,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    #[serde(flatten)]
    pub metrics: RunMetrics,
    pub outside_forward: Option<f64>,
    pub peak_rss_bytes: u64,
    /// From the start of the server to its exit.
    pub wall_seconds: f64,
    pub server_cpu_seconds: f64,
    pub client_cpu_seconds: f64,
    pub other_cpus: Option<f64>,
}

/// mlxm relative to the other server: above 1 its throughput or its latency is higher.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub output_tps: Ratio,
    pub ttft_p50: f64,
    pub ttft_p90: f64,
    pub inter_token_p50: f64,
    pub inter_token_p90: f64,
}

impl Results {
    /// Compares mlxm's throughput with that of the earlier build `baseline`.
    pub fn check_regression(&self, baseline: &str) -> Option<RegressionCheck> {
        let rows = self
            .measurements
            .iter()
            .filter_map(|one| {
                let ratio = &one.ratio.as_ref()?.output_tps;
                Some(RowSpeed::new(
                    one.model,
                    one.point.to_string(),
                    ratio,
                    false,
                ))
            })
            .collect();
        RegressionCheck::new(baseline, rows)
    }

    /// Requests per second of the other server with the most clients.
    pub fn capacity(&self, model: &str) -> Option<f64> {
        let clients = |measurement: &&Measurement| match measurement.point {
            Point::Closed { clients } => clients,
            _ => 0,
        };
        let of_model = self.measurements.iter().filter(|one| one.model == model);
        let most = of_model
            .max_by_key(clients)
            .filter(|one| clients(one) > 0)?;
        Some(most.series.last()?.requests_per_second.median)
    }

    /// Makes the result unofficial if requests failed.
    pub fn failures(&self) -> Vec<String> {
        let series = self.measurements.iter().flat_map(|one| &one.series);
        let samples: Vec<&RunMetrics> = series
            .flat_map(|series| &series.samples)
            .map(|sample| &sample.metrics)
            .collect();
        let errors: usize = samples.iter().map(|metrics| metrics.errors).sum();
        let error = samples.iter().find_map(|metrics| metrics.error.as_deref());
        error
            .map(|error| {
                format!("{errors} requests got no complete response, for example: {error}")
            })
            .into_iter()
            .collect()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { clients: 1 } => formatter.write_str("1 client"),
            Self::Closed { clients } => write!(formatter, "{clients} clients"),
            Self::Long { clients } => {
                write!(
                    formatter,
                    "{}, long outputs",
                    Self::Closed { clients: *clients }
                )
            }
            Self::Open { rate } => write!(formatter, "{rate}/s arriving"),
            Self::RepeatedPrompt => formatter.write_str("repeated prompts"),
        }
    }
}

impl Measurement {
    /// Compares the first series with the second.
    pub fn new(model: &'static str, point: Point, series: Vec<Series>) -> Self {
        let ratio = match &series[..] {
            [ours, theirs, ..] => Comparison::of(ours, theirs),
            _ => None,
        };
        Self {
            model,
            point,
            series,
            ratio,
        }
    }

    /// Number of disturbed runs that are part of the result.
    pub fn disturbed(&self) -> usize {
        let samples = self.series.iter().flat_map(|series| &series.samples);
        samples.filter(|sample| sample.is_disturbed()).count()
    }
}

impl Series {
    /// `None` without samples.
    pub fn new(
        engine: String,
        command: String,
        samples: Vec<Sample>,
        repeated: usize,
    ) -> Option<Self> {
        let of = |value: fn(&Sample) -> f64| Summary::of(samples.iter().map(value));
        Some(Self {
            engine,
            command,
            output_tps: of(|sample| sample.metrics.output_tps)?,
            requests_per_second: of(|sample| sample.metrics.requests_per_second)?,
            latency: Latency::of(&samples),
            outside_forward: Summary::of(samples.iter().filter_map(|one| one.outside_forward)),
            peak_rss_bytes: of(|sample| sample.peak_rss_bytes as f64)?,
            samples,
            repeated,
        })
    }
}

impl Series {
    /// Median time to first token of new prompts and of repeated ones, in milliseconds.
    pub fn ttft_first_and_repeated(&self) -> Option<(f64, f64)> {
        let complete = self.samples.iter().all(|sample| sample.metrics.errors == 0);
        let times = self
            .samples
            .iter()
            .flat_map(|sample| &sample.metrics.ttft_ms);
        let times: Vec<f64> = times.copied().collect();
        let median = |which: usize| {
            let half: Vec<f64> = times.iter().skip(which).step_by(2).copied().collect();
            quantile(&half, 0.5)
        };
        complete.then_some(())?;
        median(0).zip(median(1))
    }
}

impl Latency {
    fn of(samples: &[Sample]) -> Self {
        let all = |of: fn(&RunMetrics) -> &[f64]| -> Vec<f64> {
            let values = samples.iter().flat_map(|sample| of(&sample.metrics));
            values.copied().collect()
        };
        let ttft = all(|metrics| &metrics.ttft_ms);
        let inter_token = all(|metrics| &metrics.inter_token_ms);
        let of = |values: &[f64], q: f64| quantile(values, q).unwrap_or_default();
        Self {
            requests: ttft.len(),
            ttft_p50_ms: of(&ttft, 0.5),
            ttft_p90_ms: of(&ttft, 0.9),
            inter_token_p50_ms: of(&inter_token, 0.5),
            inter_token_p90_ms: of(&inter_token, 0.9),
        }
    }
}

impl Sample {
    /// Whether other programs used more of the machine than [`MAX_OTHER_CPUS`].
    pub fn is_disturbed(&self) -> bool {
        self.other_cpus
            .is_some_and(|others| others > MAX_OTHER_CPUS)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        let first = |q| quantile(&metrics.ttft_ms, q).unwrap_or_default();
        write!(
            formatter,
            "{:.1} tok/s, first token {:.0} / {:.0} ms, between tokens {:.1} / {:.1} ms, {} responses in {:.0} s",
            metrics.output_tps,
            first(0.5),
            first(0.9),
            metrics.inter_token_p50_ms,
            metrics.inter_token_p90_ms,
            metrics.completions,
            self.wall_seconds,
        )?;
        if let Some(error) = &metrics.error {
            write!(formatter, ", {} errors: {error}", metrics.errors)?;
        }
        Ok(())
    }
}

impl Comparison {
    fn of(ours: &Series, theirs: &Series) -> Option<Self> {
        let speeds = |series: &Series| -> Vec<f64> {
            let samples = series.samples.iter();
            samples.map(|sample| sample.metrics.output_tps).collect()
        };
        let (own, other) = (ours.latency, theirs.latency);
        Some(Self {
            output_tps: Ratio::of(&speeds(ours), &speeds(theirs))?,
            ttft_p50: own.ttft_p50_ms / other.ttft_p50_ms,
            ttft_p90: own.ttft_p90_ms / other.ttft_p90_ms,
            inter_token_p50: own.inter_token_p50_ms / other.inter_token_p50_ms,
            inter_token_p90: own.inter_token_p90_ms / other.inter_token_p90_ms,
        })
    }
}

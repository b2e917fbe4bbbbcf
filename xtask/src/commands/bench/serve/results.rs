//! What the benchmark of servers leaves: every run, and what follows from them.

use super::figures::Figures;
use crate::commands::bench::engines::Facts;
use crate::commands::bench::results::{Circumstances, ModelFacts, TOLERATED_OTHER_CPUS};
use crate::commands::bench::statistics::{Ratio, Summary, quantile};
use serde::Serialize;
use std::fmt;

/// The version of the JSON form.
pub const SCHEMA: u32 = 1;

/// One benchmark, from its start to its end.
#[derive(Debug, Serialize)]
pub struct Results {
    pub schema: u32,
    /// What makes the figures unfit to be quoted.
    pub reservations: Vec<String>,
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// mlxm, then the other.
    pub engines: Vec<Facts>,
    pub models: Vec<ModelFacts>,
    pub measurements: Vec<Measurement>,
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "loop")]
pub enum Point {
    /// From so many clients that wait for their answers.
    Closed { clients: usize },
    /// The same with short prompts and long answers, so that nearly all of the time goes into answering at once.
    Long { clients: usize },
    /// At this rate, in requests per second.
    Open { rate: f64 },
    /// From one client, each prompt a second time with another ending.
    Again,
}

/// One point for one model.
#[derive(Debug, Serialize)]
pub struct Measurement {
    pub model: &'static str,
    #[serde(flatten)]
    pub point: Point,
    /// In the order of the engines.
    pub series: Vec<Series>,
    /// mlxm against the other.
    pub ratio: Option<Comparison>,
}

/// The runs of one server, in the order they were made.
#[derive(Debug, Serialize)]
pub struct Series {
    pub engine: String,
    pub command: String,
    pub output_tps: Summary,
    pub requests_per_second: Summary,
    /// Over the answers of all runs.
    pub latency: Latency,
    /// Share of the loop's time outside of forward passes, where the server counts it.
    pub outside_forward: Option<Summary>,
    pub peak_rss_bytes: Summary,
    pub samples: Vec<Sample>,
    /// Runs that were made again because something else was running.
    pub repeated: usize,
}

/// What clients wait for, in milliseconds.
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
    pub figures: Figures,
    pub outside_forward: Option<f64>,
    pub peak_rss_bytes: u64,
    /// Of the server's whole life.
    pub wall_seconds: f64,
    pub server_cpu_seconds: f64,
    pub client_cpu_seconds: f64,
    pub other_cpus: Option<f64>,
}

/// mlxm against the other server: above 1 mlxm has more tokens per second, or waits longer.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub output_tps: Ratio,
    pub ttft_p50: f64,
    pub ttft_p90: f64,
    pub inter_token_p50: f64,
    pub inter_token_p90: f64,
}

impl Results {
    /// Requests per second that the other server reached with the most clients.
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

    /// Reservations because of requests without an answer.
    pub fn failures(&self) -> Vec<String> {
        let series = self.measurements.iter().flat_map(|one| &one.series);
        let samples: Vec<&Figures> = series
            .flat_map(|series| &series.samples)
            .map(|sample| &sample.figures)
            .collect();
        let errors: usize = samples.iter().map(|figures| figures.errors).sum();
        let error = samples.iter().find_map(|figures| figures.error.as_deref());
        error
            .map(|error| format!("{errors} requests got no whole answer, for example: {error}"))
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
                    "{}, long answers",
                    Self::Closed { clients: *clients }
                )
            }
            Self::Open { rate } => write!(formatter, "{rate}/s arriving"),
            Self::Again => formatter.write_str("prompts again"),
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

    /// Runs that were disturbed and count all the same.
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
            output_tps: of(|sample| sample.figures.output_tps)?,
            requests_per_second: of(|sample| sample.figures.requests_per_second)?,
            latency: Latency::of(&samples),
            outside_forward: Summary::of(samples.iter().filter_map(|one| one.outside_forward)),
            peak_rss_bytes: of(|sample| sample.peak_rss_bytes as f64)?,
            samples,
            repeated,
        })
    }
}

impl Series {
    /// Median times to the first token of prompts that are new and of those that come again, in milliseconds.
    pub fn new_and_again(&self) -> Option<(f64, f64)> {
        let whole = self.samples.iter().all(|sample| sample.figures.errors == 0);
        let times = self
            .samples
            .iter()
            .flat_map(|sample| &sample.figures.ttft_ms);
        let times: Vec<f64> = times.copied().collect();
        let median = |which: usize| {
            let half: Vec<f64> = times.iter().skip(which).step_by(2).copied().collect();
            quantile(&half, 0.5)
        };
        whole.then_some(())?;
        median(0).zip(median(1))
    }
}

impl Latency {
    fn of(samples: &[Sample]) -> Self {
        let all = |of: fn(&Figures) -> &[f64]| -> Vec<f64> {
            let values = samples.iter().flat_map(|sample| of(&sample.figures));
            values.copied().collect()
        };
        let ttft = all(|figures| &figures.ttft_ms);
        let inter_token = all(|figures| &figures.inter_token_ms);
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
    /// Whether other programs took more of the machine than is tolerable.
    pub fn is_disturbed(&self) -> bool {
        self.other_cpus
            .is_some_and(|others| others > TOLERATED_OTHER_CPUS)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        let first = |q| quantile(&figures.ttft_ms, q).unwrap_or_default();
        write!(
            formatter,
            "{:.1} tok/s, first token {:.0} / {:.0} ms, between tokens {:.1} / {:.1} ms, {} answers in {:.0} s",
            figures.output_tps,
            first(0.5),
            first(0.9),
            figures.inter_token_p50_ms,
            figures.inter_token_p90_ms,
            figures.answers,
            self.wall_seconds,
        )?;
        if let Some(error) = &figures.error {
            write!(formatter, ", {} errors: {error}", figures.errors)?;
        }
        Ok(())
    }
}

impl Comparison {
    fn of(ours: &Series, theirs: &Series) -> Option<Self> {
        let speeds = |series: &Series| -> Vec<f64> {
            let samples = series.samples.iter();
            samples.map(|sample| sample.figures.output_tps).collect()
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

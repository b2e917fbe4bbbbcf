//! Benchmark results: every sample and what is computed from them.

use super::child::ChildOutput;
use super::engines::EngineInfo;
use super::idle;
use super::machine::Machine;
use super::models::{self, Model};
use super::record;
use super::regression::RegressionCheck;
use super::rows::{Row, Unit};
use super::statistics::{Ratio, Summary};
use anyhow::Result;
use serde::Serialize;
use std::env;
use std::path::PathBuf;

/// Version of the JSON format.
pub const SCHEMA: u32 = 2;

/// A run is disturbed if other programs used more CPUs than this on average.
pub const MAX_OTHER_CPUS: f64 = 0.1;

/// The results of one `cargo xtask bench`.
#[derive(Debug, Serialize)]
pub struct Results {
    pub schema: u32,
    /// Why the result is unofficial; empty on an idle machine with enough runs.
    pub unofficial_reasons: Vec<String>,
    #[serde(flatten)]
    pub conditions: Conditions,
    /// mlxm first.
    pub engines: Vec<EngineInfo>,
    pub models: Vec<ModelInfo>,
    pub measurements: Vec<Measurement>,
    /// With an mlxm baseline: whether mlxm is as fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regression: Option<RegressionCheck>,
}

/// When, where and how the benchmark ran.
#[derive(Debug, Serialize)]
pub struct Conditions {
    pub started: String,
    pub command: String,
    pub load_average_at_start: Option<f64>,
    pub threads: usize,
    pub repeat: usize,
    pub machine: Machine,
}

impl Conditions {
    /// Waits until the machine is idle, and returns the conditions and the start time of `repeat` runs. A machine that stays
    /// busy is an error, or with `force` a warning.
    pub fn begin(
        machine: Machine,
        threads: usize,
        repeat: usize,
        force: bool,
    ) -> Result<(Self, jiff::Zoned)> {
        let load_average = idle::wait(force)?;
        let started = jiff::Zoned::now();
        let conditions = Self {
            started: started.strftime("%Y-%m-%d %H:%M %Z").to_string(),
            command: record::command_line(env::args()),
            load_average_at_start: load_average,
            threads,
            repeat,
            machine,
        };
        Ok((conditions, started))
    }

    /// Reasons why the result is unofficial, given the required and the disturbed runs.
    pub fn unofficial_reasons(&self, min_runs: usize, disturbed: usize) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(load) = self.load_average_at_start.filter(|load| *load > idle::IDLE) {
            reasons.push(format!(
                "the machine was busy, with a load average of {load:.2} at the start."
            ));
        }
        if self.repeat < min_runs {
            reasons.push(format!(
                "there were only {} runs, fewer than {min_runs}.",
                self.repeat
            ));
        }
        if disturbed > 0 {
            reasons.push(format!(
                "other programs used more than {MAX_OTHER_CPUS} CPUs during {disturbed} runs."
            ));
        }
        reasons
    }
}

/// A model and the sizes of its files.
#[derive(Debug, Serialize)]
pub struct ModelInfo {
    pub name: &'static str,
    pub about: &'static str,
    pub files: Vec<ModelFile>,
}

impl ModelInfo {
    /// `files` pairs each engine's name with the path it loads.
    pub fn new(model: Model, files: impl Iterator<Item = (String, PathBuf)>) -> Result<Self> {
        Ok(Self {
            name: model.name(),
            about: model.about(),
            files: files
                .map(|(engine, path)| {
                    Ok(ModelFile {
                        engine,
                        size_bytes: models::size_bytes(&path)?,
                    })
                })
                .collect::<Result<_>>()?,
        })
    }
}

#[derive(Debug, Serialize)]
pub struct ModelFile {
    pub engine: String,
    pub size_bytes: u64,
}

/// A row of the table for one model.
#[derive(Debug, Serialize)]
pub struct Measurement {
    pub model: &'static str,
    pub row: Row,
    pub unit: Unit,
    /// In the order of the engines.
    pub series: Vec<Series>,
    /// mlxm relative to each of the others, in their order.
    pub ratios: Vec<Comparison>,
}

/// The runs of one engine, in the order they were made.
#[derive(Debug, Serialize)]
pub struct Series {
    pub engine: String,
    pub command: String,
    pub activation_dtype: Option<String>,
    pub summary: Summary,
    pub peak_rss: Summary,
    pub samples: Vec<Sample>,
    /// Runs that were repeated because other programs were running.
    pub repeated: usize,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    pub value: f64,
    pub peak_rss_bytes: u64,
    pub wall_seconds: f64,
    pub cpu_seconds: f64,
    pub other_cpus: Option<f64>,
}

impl Sample {
    pub fn new(value: f64, measured: &ChildOutput) -> Self {
        Self {
            value,
            peak_rss_bytes: measured.peak_rss_bytes,
            wall_seconds: measured.wall.as_secs_f64(),
            cpu_seconds: measured.cpu.as_secs_f64(),
            other_cpus: measured.other_cpus,
        }
    }

    /// Whether other programs used more of the machine than [`MAX_OTHER_CPUS`].
    pub fn is_disturbed(&self) -> bool {
        self.other_cpus
            .is_some_and(|others| others > MAX_OTHER_CPUS)
    }
}

/// mlxm relative to another engine.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub against: String,
    pub value: Ratio,
    pub peak_rss: Ratio,
}

impl Series {
    /// `None` without samples.
    pub fn new(
        engine: String,
        command: String,
        activation_dtype: Option<String>,
        samples: Vec<Sample>,
        repeated: usize,
    ) -> Option<Self> {
        Some(Self {
            summary: Summary::of(values(&samples))?,
            peak_rss: Summary::of(peaks(&samples))?,
            engine,
            command,
            activation_dtype,
            samples,
            repeated,
        })
    }
}

impl Measurement {
    /// Compares the first series with the others.
    pub fn new(model: &'static str, row: Row, series: Vec<Series>) -> Self {
        let ratios = match series.split_first() {
            Some((ours, others)) => others
                .iter()
                .filter_map(|theirs| {
                    Some(Comparison {
                        against: theirs.engine.clone(),
                        value: Ratio::of(&values(&ours.samples), &values(&theirs.samples))?,
                        peak_rss: Ratio::of(&peaks(&ours.samples), &peaks(&theirs.samples))?,
                    })
                })
                .collect(),
            None => Vec::new(),
        };
        Self {
            model,
            row,
            unit: row.unit(),
            series,
            ratios,
        }
    }

    /// Number of disturbed runs that are part of the result.
    pub fn disturbed(&self) -> usize {
        self.series
            .iter()
            .flat_map(|series| &series.samples)
            .filter(|sample| sample.is_disturbed())
            .count()
    }
}

fn values(samples: &[Sample]) -> Vec<f64> {
    samples.iter().map(|sample| sample.value).collect()
}

fn peaks(samples: &[Sample]) -> Vec<f64> {
    samples
        .iter()
        .map(|sample| sample.peak_rss_bytes as f64)
        .collect()
}

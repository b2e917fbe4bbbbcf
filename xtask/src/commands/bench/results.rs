//! What a benchmark leaves: every sample, and what follows from them.

use super::engines::Facts;
use super::machine::Machine;
use super::measured::Measured;
use super::models::{self, Pair};
use super::quiet;
use super::rows::{Row, Unit};
use super::statistics::{Ratio, Summary};
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

/// The version of the JSON form.
pub const SCHEMA: u32 = 1;

/// More processors than this busy with something else during a run make its figure doubtful.
pub const TOLERATED_OTHER_CPUS: f64 = 0.1;

/// One benchmark, from its start to its end.
#[derive(Debug, Serialize)]
pub struct Results {
    pub schema: u32,
    /// What makes the figures unfit to be quoted; empty on a quiet machine with enough runs.
    pub reservations: Vec<String>,
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// mlxm first.
    pub engines: Vec<Facts>,
    pub models: Vec<ModelFacts>,
    pub measurements: Vec<Measurement>,
}

/// When, where and how a benchmark ran.
#[derive(Debug, Serialize)]
pub struct Circumstances {
    pub started: String,
    pub command: String,
    pub load_average_at_start: Option<f64>,
    pub threads: usize,
    pub repeat: usize,
    pub machine: Machine,
}

impl Circumstances {
    /// Why figures of so few runs, of which so many were disturbed, should not be quoted, if there is a reason.
    pub fn reservations(&self, fewest_runs: usize, disturbed: usize) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(load) = self
            .load_average_at_start
            .filter(|load| *load > quiet::IDLE)
        {
            reasons.push(format!(
                "the machine was busy, with a load average of {load:.2} at the start."
            ));
        }
        if self.repeat < fewest_runs {
            reasons.push(format!(
                "only {} runs of each engine were made, fewer than {fewest_runs}.",
                self.repeat
            ));
        }
        if disturbed > 0 {
            reasons.push(format!(
                "during {disturbed} runs other programs took more than {TOLERATED_OTHER_CPUS} of a processor."
            ));
        }
        reasons
    }
}

/// The files of a model.
#[derive(Debug, Serialize)]
pub struct ModelFacts {
    pub name: &'static str,
    pub about: &'static str,
    pub files: Vec<ModelFile>,
}

impl ModelFacts {
    /// `files` are engines and what each of them loads.
    pub fn of(pair: &Pair, files: impl Iterator<Item = (String, PathBuf)>) -> Result<Self> {
        Ok(Self {
            name: pair.model.name(),
            about: pair.model.about(),
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
    /// mlxm against each of the others, in their order.
    pub ratios: Vec<Comparison>,
}

/// The runs of one engine, in the order they were made.
#[derive(Debug, Serialize)]
pub struct Series {
    pub engine: String,
    pub command: String,
    pub precision: Option<String>,
    pub summary: Summary,
    pub peak_rss: Summary,
    pub samples: Vec<Sample>,
    /// Runs that were made again because something else was running.
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
    pub fn new(value: f64, measured: &Measured) -> Self {
        Self {
            value,
            peak_rss_bytes: measured.peak_rss_bytes,
            wall_seconds: measured.wall.as_secs_f64(),
            cpu_seconds: measured.cpu.as_secs_f64(),
            other_cpus: measured.other_cpus,
        }
    }

    /// Whether other programs took more of the machine than is tolerable.
    pub fn is_disturbed(&self) -> bool {
        self.other_cpus
            .is_some_and(|others| others > TOLERATED_OTHER_CPUS)
    }
}

/// mlxm against another engine.
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
        precision: Option<String>,
        samples: Vec<Sample>,
        repeated: usize,
    ) -> Option<Self> {
        Some(Self {
            summary: Summary::of(values(&samples))?,
            peak_rss: Summary::of(peaks(&samples))?,
            engine,
            command,
            precision,
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

    /// Runs that were disturbed and count all the same.
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

//! Options and preparation shared by all comparisons with other engines.

use super::engines::mlxm::ActivationDtype;
use super::machine::Machine;
use super::models::{self, Model};
use super::record;
use super::results::Conditions;
use crate::prerequisites::{self, Prerequisite};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args)]
pub struct Options {
    /// Model to measure with
    #[arg(long, value_enum, default_value = "both")]
    pub model: Choice,
    /// Threads of each engine [default: the physical cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Activation dtype of mlxm [default: mlxm's default]
    #[arg(long, value_enum, value_name = "DTYPE")]
    pub activation_dtype: Option<ActivationDtype>,
    /// Directory for the results
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    pub results: PathBuf,
    /// Also measure on a busy machine or with few runs, and mark the result as unofficial
    #[arg(long)]
    pub force: bool,
    /// Only fetch, build and convert what is needed
    #[arg(long)]
    pub prepare: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    #[value(name = "135M")]
    Starter,
    #[value(name = "1.56B")]
    Random,
    Both,
}

impl Choice {
    pub fn models(self) -> &'static [Model] {
        match self {
            Self::Starter => &Model::ALL[..1],
            Self::Random => &Model::ALL[1..],
            Self::Both => &Model::ALL,
        }
    }
}

impl Options {
    /// Rejects fewer than `min_runs` runs, and machines without the prerequisites.
    pub fn check(&self, repeat: usize, min_runs: usize) -> Result<()> {
        if repeat == 0 || (repeat < min_runs && !self.force) {
            bail!("--repeat must be at least {min_runs}, or at least 1 with --force");
        }
        if self.threads == Some(0) {
            bail!("--threads must be at least 1");
        }
        prerequisites::require(&[
            Prerequisite::CCompilers,
            Prerequisite::Python(models::PYTHON),
        ])
    }

    /// Threads of each engine.
    pub fn threads(&self, machine: &Machine) -> usize {
        self.threads.unwrap_or(machine.cores)
    }

    /// Waits until the machine is idle, and returns the conditions and the start time of `repeat` runs.
    pub fn begin(&self, machine: Machine, repeat: usize) -> Result<(Conditions, jiff::Zoned)> {
        let threads = self.threads(&machine);
        Conditions::begin(machine, threads, repeat, self.force)
    }

    /// The name of a result's files. `compared` names the other engines; `part` lists the rows if only some were measured,
    /// so that a partial result does not replace a complete one.
    pub fn name(
        &self,
        conditions: &Conditions,
        started: &jiff::Zoned,
        compared: &str,
        part: &[&str],
        official: bool,
    ) -> String {
        let mut words = vec![compared];
        if self.model != Choice::Both {
            words.push(self.model.models()[0].name());
        }
        words.extend(part);
        record::name(&conditions.machine, started, &words, official)
    }
}

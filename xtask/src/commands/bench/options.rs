//! What every comparison with another engine is told, and how one begins.

use super::machine::Machine;
use super::models::{self, Model};
use super::results::Circumstances;
use super::{quiet, record};
use crate::prerequisites::{self, Prerequisite};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use std::env;
use std::path::PathBuf;

#[derive(Args)]
pub struct Options {
    /// Model to measure with
    #[arg(long, value_enum, default_value = "both")]
    pub model: Choice,
    /// Threads of each engine [default: the physical cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Arithmetic of mlxm, as for its option of that name [default: mlxm's]
    #[arg(long, value_name = "NAME")]
    pub precision: Option<String>,
    /// Directory for the results
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    pub results: PathBuf,
    /// Measure on a busy machine or with few runs, too, and mark the result
    #[arg(long)]
    pub force: bool,
    /// Fetch, build and make what is needed, and measure nothing
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
    /// Refuses what says nothing: `repeat` runs where it takes `fewest`, and a machine without what is needed.
    pub fn check(&self, repeat: usize, fewest: usize) -> Result<()> {
        if repeat == 0 || (repeat < fewest && !self.force) {
            bail!(
                "--repeat is at least {fewest}: fewer runs say little (with --force, 1 and more)"
            );
        }
        if self.threads == Some(0) {
            bail!("--threads is at least 1");
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

    /// Waits until the machine is idle, and says when and how the first of `repeat` runs began.
    pub fn begin(&self, machine: Machine, repeat: usize) -> Result<(Circumstances, jiff::Zoned)> {
        let load_average = quiet::wait(self.force)?;
        let started = jiff::Zoned::now();
        let circumstances = Circumstances {
            started: started.strftime("%Y-%m-%d %H:%M %Z").to_string(),
            command: record::command_line(env::args()),
            load_average_at_start: load_average,
            threads: self.threads(&machine),
            repeat,
            machine,
        };
        Ok((circumstances, started))
    }

    /// The name of a result's files: `compared` says with what, `part` which part was measured. A result of a part does not
    /// replace that of the whole.
    pub fn name(
        &self,
        circumstances: &Circumstances,
        started: &jiff::Zoned,
        compared: &str,
        part: &[&str],
        quotable: bool,
    ) -> String {
        let day = started.strftime("%Y-%m-%d").to_string();
        let machine = circumstances.machine.slug();
        let mut words = vec![day.as_str(), &machine, compared];
        if self.model != Choice::Both {
            words.push(self.model.models()[0].name());
        }
        words.extend(part);
        if !quotable {
            words.push("not-for-quoting");
        }
        words.join("-")
    }
}

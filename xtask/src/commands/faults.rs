//! `cargo xtask faults`: load on a gateway, and faults of its processes and of its environment.

mod api;
mod audit;
mod clients;
mod clock_jump;
mod corrupt_checkpoint;
mod disk_full;
mod environment;
mod gateway_kill;
mod load;
mod port_taken;
mod stream;
mod two_gateways;
mod worker_kill;

use crate::interrupt::{self, InterruptGuard};
use crate::prerequisites::{self, Prerequisite};
use crate::python::OLDEST;
use crate::{mlxm, starter, workspace};
use anyhow::{Result, bail};
use clap::Args;
use environment::Environment;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the load lasts, in seconds: for a claim about memory, and as a step of `cargo xtask test`.
const FULL_SECONDS: u64 = 180;
const SHORT_SECONDS: u64 = 30;

/// The shortest load whose memory is stable in its last two thirds.
const MIN_SECONDS: u64 = 15;

const HELP: &str = "\
Each scenario has a gateway of its own, with the starter model, a temporary home directory and free ports of this machine. No \
process is left running, also after a failure or Ctrl-C.

load                200 clients of two workers, some of which disconnect: memory of the gateway, and one audit row per request
worker-kill         SIGKILL of one of two busy workers
gateway-kill        SIGKILL of a busy gateway, and a new one on the same home directory
disk-full           no space for the database; mounts a small file system, for which it must run as root
port-taken          the port of the gateway, and that of a profile
corrupt-checkpoint  damaged weights between two starts
two-gateways        a second gateway on the same database
clock-jump          the system time changes by days, for the gateway only; on Linux

Examples:
  cargo xtask faults
  cargo xtask faults --seconds 30 load
  cargo xtask faults worker-kill gateway-kill";

/// Put load on a gateway, and make its processes and its environment fail.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Scenarios, in any order [default: all]
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// How long the load of the scenario `load` lasts; the other scenarios take some seconds each
    #[arg(long, value_name = "N", default_value_t = FULL_SECONDS, value_parser = clap::value_parser!(u64).range(MIN_SECONDS..))]
    seconds: u64,
}

/// What is done, and how it must end.
struct Scenario {
    name: &'static str,
    run: fn(&Environment) -> Result<Outcome>,
}

/// The outcome of a scenario that did not fail.
pub enum Outcome {
    /// With what was measured.
    Passed(String),
    /// It cannot run here, for this reason.
    Skipped(String),
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "load",
        run: load::run,
    },
    Scenario {
        name: "worker-kill",
        run: worker_kill::run,
    },
    Scenario {
        name: "gateway-kill",
        run: gateway_kill::run,
    },
    Scenario {
        name: "disk-full",
        run: disk_full::run,
    },
    Scenario {
        name: "port-taken",
        run: port_taken::run,
    },
    Scenario {
        name: "corrupt-checkpoint",
        run: corrupt_checkpoint::run,
    },
    Scenario {
        name: "two-gateways",
        run: two_gateways::run,
    },
    Scenario {
        name: "clock-jump",
        run: clock_jump::run,
    },
];

pub fn execute(arguments: &Arguments) -> Result<()> {
    let scenarios = select(&arguments.scenarios)?;
    prerequisites::require(&[Prerequisite::CCompilers, Prerequisite::Python(OLDEST)])?;
    let mlxm = mlxm::build()?;
    let model = starter::converted(&workspace::target_directory()?);
    starter::convert(&mlxm, &model)?;
    run(mlxm, model, arguments.seconds, &scenarios)
}

/// All scenarios, with a short load, as a step of `cargo xtask test`.
pub fn run_short(mlxm: PathBuf, model: PathBuf) -> Result<()> {
    run(mlxm, model, SHORT_SECONDS, &select(&[])?)
}

/// The scenarios with these names; all of them without names.
fn select(names: &[String]) -> Result<Vec<&'static Scenario>> {
    for name in names {
        if !SCENARIOS.iter().any(|scenario| scenario.name == name) {
            let known: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            bail!(
                "no scenario named `{name}`; the scenarios are {}",
                known.join(", ")
            );
        }
    }
    let is_selected =
        |scenario: &&Scenario| names.is_empty() || names.iter().any(|name| name == scenario.name);
    Ok(SCENARIOS.iter().filter(is_selected).collect())
}

fn run(mlxm: PathBuf, model: PathBuf, seconds: u64, scenarios: &[&Scenario]) -> Result<()> {
    let _guard = InterruptGuard::start();
    let environment = Environment {
        mlxm,
        model,
        load: Duration::from_secs(seconds),
    };
    let mut rows = Vec::new();
    for scenario in scenarios {
        eprintln!("\n==> {}", scenario.name);
        let started = Instant::now();
        let outcome = (scenario.run)(&environment);
        interrupt::check()?;
        rows.push((scenario.name, outcome, started.elapsed()));
    }
    summarize(&rows);
    let failed: Vec<String> = rows
        .iter()
        .filter_map(|(name, outcome, _)| {
            let error = outcome.as_ref().err()?;
            Some(format!("{name}: {error:#}"))
        })
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join("\n"));
    }
    Ok(())
}

fn summarize(rows: &[(&str, Result<Outcome>, Duration)]) {
    println!(
        "\n{:<18}  {:<7}  {:>7}  figures",
        "scenario", "outcome", "seconds"
    );
    for (name, outcome, elapsed) in rows {
        let (outcome, figures) = match outcome {
            Ok(Outcome::Passed(figures)) => ("ok", figures.clone()),
            Ok(Outcome::Skipped(reason)) => ("skipped", reason.clone()),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        // Further lines are those of logs.
        let mut lines = figures.lines();
        let first = lines.next().unwrap_or_default();
        println!(
            "{name:<18}  {outcome:<7}  {:>7.1}  {first}",
            elapsed.as_secs_f64()
        );
        for line in lines {
            println!("    {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(selected: &[&str]) -> Vec<&'static str> {
        let owned: Vec<String> = selected.iter().map(ToString::to_string).collect();
        let selected = select(&owned).unwrap();
        selected.into_iter().map(|scenario| scenario.name).collect()
    }

    #[test]
    fn all_scenarios_run_by_default_and_selected_ones_in_their_order() {
        assert_eq!(names(&[]).len(), SCENARIOS.len());
        assert_eq!(names(&["clock-jump", "load"]), ["load", "clock-jump"]);
    }

    #[test]
    fn unknown_scenario_is_rejected_with_the_known_ones() {
        let error = select(&["fire".to_owned()]).err().unwrap().to_string();
        assert!(
            error.contains("fire") && error.contains("disk-full"),
            "{error}"
        );
    }

    #[test]
    fn help_describes_each_scenario() {
        for scenario in SCENARIOS {
            let line = format!("\n{} ", scenario.name);
            assert!(HELP.contains(&line), "{}", scenario.name);
        }
    }
}

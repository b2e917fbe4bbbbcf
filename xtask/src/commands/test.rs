//! `cargo xtask test`: every check and test, quick ones first, with a table of the outcomes.

mod arm;
mod browser;
mod clients;
mod deny;
mod environment;
mod python_package;
mod steps;
mod templates;
mod tidy;

use crate::prerequisites;
use crate::resource_usage::children_cpu;
use anyhow::{Error, Result, bail};
use clap::Args;
use environment::TestEnvironment;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};
pub use steps::{PACKAGES, has_nextest};
use steps::{STEPS, Step};

/// Run every check and test.
///
/// Steps run in the order of --list; a step is skipped if a step that it needs failed. The exit status is zero only if
/// all requested steps succeeded.
#[derive(Args)]
pub struct Arguments {
    /// Run only these steps and those they need (repeat, or separate by commas)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Skip these steps (repeat, or separate by commas)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<String>,
    /// Stop at the first failure
    #[arg(long)]
    fail_fast: bool,
    /// List the steps and exit
    #[arg(long)]
    list: bool,
}

/// The outcome of a step.
enum Outcome {
    Succeeded,
    Failed(Error),
    /// A step that it needs did not succeed.
    Blocked(&'static str),
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => formatter.pad("ok"),
            Self::Failed(_) => formatter.pad("FAILED"),
            Self::Blocked(step) => formatter.pad(&format!("not run: needs {step}")),
        }
    }
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    if arguments.list {
        for step in STEPS {
            println!("{:<10}  {}", step.name, step.about);
        }
        return Ok(());
    }
    let selected = select(&arguments.only, &arguments.skip)?;
    let needed: Vec<_> = selected
        .iter()
        .flat_map(|step| step.prerequisites)
        .copied()
        .collect();
    prerequisites::require(&needed)?;
    let environment = TestEnvironment::find()?;
    let started = Instant::now();
    let mut outcomes: BTreeMap<&str, Outcome> = BTreeMap::new();
    let mut rows = Vec::new();
    for step in &selected {
        let (began, cpu_before) = (Instant::now(), children_cpu());
        let outcome = run(step, &outcomes, &environment);
        let row = Row {
            step: step.name,
            outcome: outcome.to_string(),
            elapsed: began.elapsed(),
            cpu: children_cpu().saturating_sub(cpu_before),
        };
        // Also here, since a run that is cut off has no table.
        eprintln!(
            "{}: {:.0} s, {:.0} s so far",
            step.name,
            row.elapsed.as_secs_f64(),
            started.elapsed().as_secs_f64()
        );
        let failed = matches!(outcome, Outcome::Failed(_));
        rows.push(row);
        outcomes.insert(step.name, outcome);
        if failed && arguments.fail_fast {
            break;
        }
    }
    // At the end, where people look in a long log.
    for step in &selected {
        if let Some(Outcome::Failed(error)) = outcomes.get(step.name) {
            eprintln!("\n==> {} failed\n{error:#}", step.name);
        }
    }
    summarize(&rows, started.elapsed());
    let failed: Vec<&str> = rows
        .iter()
        .filter(|row| row.outcome != "ok")
        .map(|row| row.step)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn run(step: &Step, outcomes: &BTreeMap<&str, Outcome>, environment: &TestEnvironment) -> Outcome {
    for needed in step.needs {
        // A step that was skipped on purpose is assumed to have been run earlier.
        if outcomes
            .get(needed)
            .is_some_and(|outcome| !matches!(outcome, Outcome::Succeeded))
        {
            return Outcome::Blocked(needed);
        }
    }
    eprintln!("\n==> {}: {}", step.name, step.about);
    match (step.run)(environment) {
        Ok(()) => Outcome::Succeeded,
        Err(error) => {
            eprintln!("{}: failed", step.name);
            Outcome::Failed(error)
        }
    }
}

/// The requested steps and those they need, in the order of the list.
fn select(only: &[String], skip: &[String]) -> Result<Vec<&'static Step>> {
    for name in only.iter().chain(skip) {
        if !STEPS.iter().any(|step| step.name == name) {
            let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!("no step named `{name}`; the steps are {}", names.join(", "));
        }
    }
    let mut wanted: Vec<&str> = if only.is_empty() {
        STEPS.iter().map(|step| step.name).collect()
    } else {
        only.iter().map(String::as_str).collect()
    };
    for step in STEPS.iter().rev() {
        if wanted.contains(&step.name) {
            wanted.extend(step.needs);
        }
    }
    Ok(STEPS
        .iter()
        .filter(|step| wanted.contains(&step.name) && !skip.iter().any(|name| name == step.name))
        .collect())
}

/// A row of the table at the end.
struct Row {
    step: &'static str,
    outcome: String,
    elapsed: Duration,
    /// CPU time of the programs of the step: less than `elapsed` times the number of CPUs is time spent waiting.
    cpu: Duration,
}

fn summarize(rows: &[Row], total: Duration) {
    let print = |step: &str, outcome: &str, elapsed: Duration, cpu: Duration| {
        let [elapsed, cpu] = [elapsed, cpu].map(|time| time.as_secs_f64());
        println!("{step:<10}  {outcome:<24}  {elapsed:>7.1}  {cpu:>7.1}");
    };
    println!(
        "\n{:<10}  {:<24}  {:>7}  {:>7}",
        "step", "outcome", "seconds", "CPU"
    );
    for row in rows {
        print(row.step, &row.outcome, row.elapsed, row.cpu);
    }
    print("total", "", total, rows.iter().map(|row| row.cpu).sum());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], skip: &[&str]) -> Vec<&'static str> {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        select(&owned(only), &owned(skip))
            .unwrap()
            .into_iter()
            .map(|step| step.name)
            .collect()
    }

    #[test]
    fn all_steps_run_by_default() {
        assert_eq!(names(&[], &[]).len(), STEPS.len());
    }

    #[test]
    fn select_adds_needed_steps_before_the_step() {
        assert_eq!(names(&["doctests"], &[]), ["build", "starter", "doctests"]);
    }

    #[test]
    fn select_omits_skipped_steps_even_if_needed() {
        assert_eq!(names(&["doctests"], &["build"]), ["starter", "doctests"]);
    }

    #[test]
    fn select_rejects_unknown_steps() {
        assert!(select(&["nonsense".to_owned()], &[]).is_err());
    }

    #[test]
    fn needed_steps_precede_their_step() {
        for (index, step) in STEPS.iter().enumerate() {
            for needed in step.needs {
                assert!(
                    STEPS[..index].iter().any(|earlier| earlier.name == *needed),
                    "{} needs {needed}",
                    step.name
                );
            }
        }
    }
}

//! `cargo xtask test`: every check and test, the quick ones first, and a table of what came of them.

mod arm;
mod clients;
mod deny;
mod steps;
mod surroundings;
mod templates;
mod tidy;

use crate::prerequisites;
use anyhow::{Result, bail};
use clap::Args;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};
use steps::{STEPS, Step};
use surroundings::Surroundings;

/// Run every check and test.
///
/// Steps run in the order of --list; one whose preparation failed is left out. The exit status is zero only when all
/// that were asked for succeeded.
#[derive(Args)]
pub struct Arguments {
    /// Run only these steps and what they need (repeat, or separate by commas)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these steps out (repeat, or separate by commas)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<String>,
    /// Stop at the first failure
    #[arg(long)]
    fail_fast: bool,
    /// Say what the steps are and do nothing
    #[arg(long)]
    list: bool,
}

/// What came of a step.
enum Outcome {
    Succeeded,
    Failed,
    /// A step it needs did not succeed.
    Blocked(&'static str),
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => formatter.pad("ok"),
            Self::Failed => formatter.pad("FAILED"),
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
    let surroundings = Surroundings::find()?;
    let started = Instant::now();
    let mut outcomes: BTreeMap<&str, Outcome> = BTreeMap::new();
    let mut rows = Vec::new();
    for step in &selected {
        let began = Instant::now();
        let outcome = run(step, &outcomes, &surroundings);
        let failed = matches!(outcome, Outcome::Failed);
        rows.push((step.name, outcome.to_string(), began.elapsed()));
        outcomes.insert(step.name, outcome);
        if failed && arguments.fail_fast {
            break;
        }
    }
    summarize(&rows, started.elapsed());
    let failed: Vec<&str> = rows
        .iter()
        .filter(|(_, outcome, _)| outcome != "ok")
        .map(|(name, ..)| *name)
        .collect();
    if !failed.is_empty() {
        bail!("not all is well: {}", failed.join(", "));
    }
    Ok(())
}

fn run(step: &Step, outcomes: &BTreeMap<&str, Outcome>, surroundings: &Surroundings) -> Outcome {
    for needed in step.needs {
        // A step left out on purpose is taken to have been done before.
        if outcomes
            .get(needed)
            .is_some_and(|outcome| !matches!(outcome, Outcome::Succeeded))
        {
            return Outcome::Blocked(needed);
        }
    }
    eprintln!("\n==> {}: {}", step.name, step.about);
    match (step.run)(surroundings) {
        Ok(()) => Outcome::Succeeded,
        Err(error) => {
            eprintln!("{}: {error:#}", step.name);
            Outcome::Failed
        }
    }
}

/// The steps asked for, in their own order, with what they need.
fn select(only: &[String], skip: &[String]) -> Result<Vec<&'static Step>> {
    for name in only.iter().chain(skip) {
        if !STEPS.iter().any(|step| step.name == name) {
            let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!("no step is called `{name}`; there are {}", names.join(", "));
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

fn summarize(rows: &[(&str, String, Duration)], total: Duration) {
    println!("\n{:<10}  {:<24}  {:>7}", "step", "outcome", "seconds");
    for (name, outcome, elapsed) in rows {
        println!("{name:<10}  {outcome:<24}  {:>7.1}", elapsed.as_secs_f64());
    }
    println!("{:<10}  {:<24}  {:>7.1}", "total", "", total.as_secs_f64());
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
    fn everything_runs_by_default() {
        assert_eq!(names(&[], &[]).len(), STEPS.len());
    }

    #[test]
    fn a_step_brings_what_it_needs_and_before_itself() {
        assert_eq!(names(&["doctests"], &[]), ["build", "starter", "doctests"]);
    }

    #[test]
    fn a_skipped_step_is_left_out_even_when_needed() {
        assert_eq!(names(&["doctests"], &["build"]), ["starter", "doctests"]);
    }

    #[test]
    fn an_unknown_step_is_refused() {
        assert!(select(&["nonsense".to_owned()], &[]).is_err());
    }

    #[test]
    fn needs_come_before_their_step() {
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

//! `cargo xtask bench`: mlxm compared with other engines, in interleaved runs with the same models on the same machine.

mod child;
mod engines;
mod idle;
mod kernels;
mod machine;
mod models;
mod options;
mod record;
mod regression;
mod report;
mod results;
mod rows;
mod serve;
mod statistics;
mod web;

use crate::mlxm::build;
use crate::{llama_cpp, process};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use engines::llama_cpp::{File, LlamaCpp};
use engines::mlxm::{BASELINE, Mlxm};
use engines::openvino::OpenVino;
use engines::{Engine, Reading};
use machine::Machine;
use models::ModelFiles;
use options::Options;
use regression::{PAIRS, RegressionCheck, RowSpeed};
use results::{Measurement, ModelInfo, Results, SCHEMA, Sample, Series};
use rows::{Row, Unit};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Runs of each engine per row that an official result needs.
const MIN_RUNS: usize = 5;

/// How often a run is attempted while other programs keep disturbing it.
const ATTEMPTS: usize = 4;

const HELP: &str = "\
ENGINE is one of
  llama.cpp       Q4_0 as llama-quantize makes it (a tied embedding gets 6 or 8 bits)
  llama.cpp-pure  Q4_0 in every matrix: as many bits as the MLX checkpoint has
  openvino        OpenVINO GenAI with int4 weights (installs 6 GB of Python packages, once)
  mlxm=PATH       an earlier release build of mlxm, as a check for performance regressions: it fails unless the geometric
                  mean of the speed ratios is at least 0.99 and every row's at least 0.96

The first run fetches the other engine as a Python package, builds or installs it, and makes the models for all engines \
from the same weights; all of that stays in the cache directory outside the clone (about 3 GB). Then the engines take turns, \
run by run, each in its own process. The result is written to benches/results as Markdown, with a description of the method, \
and as JSON with every run.

The machine has to be idle: stop other programs and do not use it during the benchmark.

Examples:
  cargo xtask bench --vs llama.cpp
  cargo xtask bench --vs llama.cpp --vs llama.cpp-pure --rows decode,batch16
  cargo xtask bench --vs llama.cpp --vs openvino
  cargo xtask bench --vs llama.cpp --model 135M --rows load --repeat 11
  cargo xtask bench --vs mlxm=../before/target/release/mlxm
  cargo xtask bench kernels
  cargo xtask bench serve --model 135M
  cargo xtask bench gateway --model 135M
  cargo xtask bench web";

/// Compare mlxm's speed with other engines.
#[derive(Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    benchmark: Option<Benchmark>,
    /// Engine to compare with, may be repeated
    #[arg(long = "vs", value_name = "ENGINE", required = true)]
    competitors: Vec<Competitor>,
    /// Rows to measure [default: all]
    #[arg(long, value_name = "ROW,…", value_enum, value_delimiter = ',')]
    rows: Vec<Row>,
    /// Runs of each engine per row; fewer than 5 need --force [default: 5; with mlxm=PATH 9]
    #[arg(long, value_name = "N")]
    repeat: Option<usize>,
    #[command(flatten)]
    options: Options,
}

/// Other benchmarks.
#[derive(Subcommand)]
enum Benchmark {
    Kernels(kernels::Arguments),
    Serve(serve::Arguments),
    Gateway(serve::gateway::Arguments),
    Web(web::Arguments),
}

/// An engine mlxm is compared with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Competitor {
    LlamaCpp,
    LlamaCppPure,
    OpenVino,
    /// An earlier build of mlxm at this path.
    Mlxm(PathBuf),
}

impl FromStr for Competitor {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        match value {
            "llama.cpp" => Ok(Self::LlamaCpp),
            "llama.cpp-pure" => Ok(Self::LlamaCppPure),
            "openvino" => Ok(Self::OpenVino),
            _ => regression::parse_baseline(value)
                .map(Self::Mlxm)
                .ok_or_else(|| {
                    "expected llama.cpp, llama.cpp-pure, openvino or mlxm=PATH".to_owned()
                }),
        }
    }
}

impl Competitor {
    fn is_llama_cpp(&self) -> bool {
        matches!(self, Self::LlamaCpp | Self::LlamaCppPure)
    }

    fn is_mlxm(&self) -> bool {
        matches!(self, Self::Mlxm(_))
    }
}

impl Arguments {
    /// Each competitor once, in a fixed order.
    fn competitors(&self) -> Result<Vec<Competitor>> {
        let competitors: BTreeSet<Competitor> = self.competitors.iter().cloned().collect();
        let competitors = Vec::from_iter(competitors);
        if competitors.iter().filter(|one| one.is_mlxm()).count() > 1 {
            bail!("--vs mlxm=PATH can be given only once");
        }
        Ok(competitors)
    }

    fn repeat(&self) -> usize {
        let has_baseline = self.competitors.iter().any(Competitor::is_mlxm);
        self.repeat
            .unwrap_or(if has_baseline { PAIRS } else { MIN_RUNS })
    }
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    match &arguments.benchmark {
        Some(Benchmark::Kernels(arguments)) => return kernels::execute(arguments),
        Some(Benchmark::Serve(arguments)) => return serve::execute(arguments),
        Some(Benchmark::Gateway(arguments)) => return serve::gateway::execute(arguments),
        Some(Benchmark::Web(arguments)) => return web::execute(arguments),
        None => {}
    }
    let options = &arguments.options;
    let repeat = arguments.repeat();
    options.check(repeat, MIN_RUNS)?;
    let competitors = arguments.competitors()?;
    let machine = Machine::read();
    let program = build()?;
    let engines = engines(&competitors, &program, options, options.threads(&machine))?;
    let mut models = Vec::new();
    for model in options.model.models() {
        let files = ModelFiles::locate(*model)?;
        for engine in &engines {
            engine.prepare(&files)?;
        }
        models.push(files);
    }
    if options.prepare {
        return Ok(());
    }

    let (conditions, started) = options.begin(machine, repeat)?;
    let mut results = Results {
        schema: SCHEMA,
        unofficial_reasons: Vec::new(),
        conditions,
        engines: engines.iter().map(|engine| engine.info().clone()).collect(),
        models: models
            .iter()
            .map(|files| model_info(files, &engines))
            .collect::<Result<_>>()?,
        measurements: Vec::new(),
        regression: None,
    };
    for files in &models {
        for row in rows(&arguments.rows) {
            let measurement = measure(&engines, files, row, repeat, options.force)?;
            eprintln!("\n{}", report::speed_table(&[&measurement]));
            results.measurements.push(measurement);
        }
    }
    let disturbed = results
        .measurements
        .iter()
        .map(Measurement::disturbed)
        .sum();
    results.unofficial_reasons = results.conditions.unofficial_reasons(MIN_RUNS, disturbed);
    results.regression = regression_check(&results.measurements);
    let text = report::markdown(&results);
    println!("{text}");
    save(arguments, &results, &text, &started)?;
    results
        .regression
        .as_ref()
        .map_or(Ok(()), RegressionCheck::require_passed)
}

/// The comparison with an earlier build, if there was one.
fn regression_check(measurements: &[Measurement]) -> Option<RegressionCheck> {
    let rows = measurements
        .iter()
        .filter_map(|measurement| {
            let mut comparisons = measurement.ratios.iter();
            let comparison = comparisons.find(|comparison| comparison.against == BASELINE)?;
            Some(RowSpeed::new(
                measurement.model,
                measurement.row.to_string(),
                &comparison.value,
                measurement.unit != Unit::TokensPerSecond,
            ))
        })
        .collect();
    RegressionCheck::new(BASELINE, rows)
}

/// The requested rows, or all, each once and in the order of the table.
fn rows(wanted: &[Row]) -> Vec<Row> {
    Row::ALL
        .into_iter()
        .filter(|row| wanted.is_empty() || wanted.contains(row))
        .collect()
}

/// mlxm, then its competitors.
fn engines(
    competitors: &[Competitor],
    program: &Path,
    options: &Options,
    threads: usize,
) -> Result<Vec<Box<dyn Engine>>> {
    let dtype = options.activation_dtype;
    let programs = if competitors.iter().any(Competitor::is_llama_cpp) {
        llama_cpp::programs()?
    } else {
        PathBuf::new()
    };
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(Mlxm::current(program, threads, dtype)?)];
    for competitor in competitors {
        engines.push(match competitor {
            Competitor::LlamaCpp => {
                Box::new(LlamaCpp::new(programs.clone(), threads, File::Mixed)?)
            }
            Competitor::LlamaCppPure => {
                Box::new(LlamaCpp::new(programs.clone(), threads, File::Pure)?)
            }
            Competitor::OpenVino => Box::new(OpenVino::new(program.to_owned(), threads)?),
            Competitor::Mlxm(path) => Box::new(Mlxm::baseline(path, program, threads, dtype)?),
        });
    }
    Ok(engines)
}

/// The engines' interleaved runs of one row.
fn measure(
    engines: &[Box<dyn Engine>],
    files: &ModelFiles,
    row: Row,
    repeat: usize,
    force: bool,
) -> Result<Measurement> {
    if row == Row::Load {
        for engine in engines {
            child::run(&mut engine.command(files, row))?;
        }
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); engines.len()];
    let mut dtypes = vec![None; engines.len()];
    let mut repeated = vec![0; engines.len()];
    for run in 1..=repeat {
        for index in turns(engines.len(), run) {
            let engine = &engines[index];
            let name = &engine.info().name;
            for attempt in 1.. {
                let (reading, sample) = measure_once(&**engine, files, row)?;
                eprintln!(
                    "{} {row} {run}/{} {name}: {}, peak {}",
                    files.model.name(),
                    repeat,
                    row.unit().show(reading.value),
                    models::show_size(sample.peak_rss_bytes)
                );
                if sample.is_disturbed() && attempt < ATTEMPTS && !force {
                    eprintln!("other programs were running; repeating the run");
                    repeated[index] += 1;
                    continue;
                }
                dtypes[index] = reading.activation_dtype;
                samples[index].push(sample);
                break;
            }
        }
    }
    let series = engines
        .iter()
        .zip(samples)
        .zip(dtypes.into_iter().zip(repeated))
        .map(|((engine, samples), (dtype, repeated))| {
            let name = engine.info().name.clone();
            let command = record::portable(&process::describe(&engine.command(files, row)))?;
            Series::new(name, command, dtype, samples, repeated).context("no run was made")
        })
        .collect::<Result<_>>()?;
    Ok(Measurement::new(files.model.name(), row, series))
}

/// The order of the engines in a run: reversed in every second one, so that none always runs first.
fn turns(engines: usize, run: usize) -> Vec<usize> {
    if run.is_multiple_of(2) {
        (0..engines).rev().collect()
    } else {
        (0..engines).collect()
    }
}

fn measure_once(engine: &dyn Engine, files: &ModelFiles, row: Row) -> Result<(Reading, Sample)> {
    let output = child::run(&mut engine.command(files, row))?;
    let reading = engine.read(row, &output)?;
    if !(reading.value.is_finite() && reading.value > 0.0) {
        bail!(
            "{} measured {} in the row {row}",
            engine.info().name,
            reading.value
        );
    }
    let sample = Sample::new(reading.value, &output);
    Ok((reading, sample))
}

fn model_info(files: &ModelFiles, engines: &[Box<dyn Engine>]) -> Result<ModelInfo> {
    let paths = engines
        .iter()
        .map(|engine| (engine.info().name.clone(), engine.model(files)));
    ModelInfo::new(files.model, paths)
}

fn save(arguments: &Arguments, results: &Results, text: &str, started: &jiff::Zoned) -> Result<()> {
    let others: Vec<&str> = results
        .engines
        .iter()
        .skip(1)
        .map(|info| info.name.as_str())
        .collect();
    let part: Vec<&str> = if arguments.rows.is_empty() {
        Vec::new()
    } else {
        rows(&arguments.rows).into_iter().map(Row::name).collect()
    };
    let name = arguments.options.name(
        &results.conditions,
        started,
        &format!("vs-{}", others.join("-")),
        &part,
        results.unofficial_reasons.is_empty(),
    );
    record::save(&arguments.options.results, &name, text, results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_deduplicated_and_ordered() {
        assert_eq!(
            rows(&[Row::Load, Row::Decode, Row::Load]),
            [Row::Decode, Row::Load]
        );
        assert_eq!(rows(&[]), Row::ALL);
    }

    #[test]
    fn turns_alternate_the_order_of_engines() {
        assert_eq!(turns(3, 1), [0, 1, 2]);
        assert_eq!(turns(3, 2), [2, 1, 0]);
    }

    #[test]
    fn competitor_is_parsed_from_its_name() {
        assert_eq!("llama.cpp".parse(), Ok(Competitor::LlamaCpp));
        assert_eq!("mlxm=a/mlxm".parse(), Ok(Competitor::Mlxm("a/mlxm".into())));
        assert!("mlxm".parse::<Competitor>().is_err());
    }
}

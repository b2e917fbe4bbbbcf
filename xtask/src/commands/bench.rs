//! `cargo xtask bench`: mlxm beside other engines, with the same models on the same machine in the same minutes.

mod engines;
mod kernels;
mod machine;
mod measured;
mod models;
mod options;
mod quiet;
mod record;
mod report;
mod results;
mod rows;
mod serve;
mod statistics;

use crate::{llama_cpp, process, workspace};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use engines::llama_cpp::{File, LlamaCpp};
use engines::mlxm::Mlxm;
use engines::openvino::OpenVino;
use engines::{Engine, Reading};
use machine::Machine;
use models::Pair;
use options::Options;
use results::{Measurement, ModelFacts, Results, SCHEMA, Sample, Series};
use rows::Row;
use std::env;
use std::path::{Path, PathBuf};

/// Fewer runs than this say little.
const FEWEST_RUNS: usize = 5;

/// How often a run is made when something else keeps running meanwhile.
const ATTEMPTS: usize = 4;

const HELP: &str = "\
The first time, the other engine is fetched as a Python package and built or installed, and the models are made in the \
forms of all engines from the same weights; all of that stays in the cache directory outside the clone (about 3 GB). Then \
the engines take turns, run by run, each in a process of its own. What is compared with what, and how, is written into \
the result, which goes to benches/results as Markdown and as JSON with every single run.

The machine has to be idle: wait for other work to end, and leave the machine alone meanwhile.

Examples:
  cargo xtask bench --vs llama.cpp
  cargo xtask bench --vs llama.cpp --vs llama.cpp-pure --rows decode,batch16
  cargo xtask bench --vs llama.cpp --vs openvino
  cargo xtask bench --vs llama.cpp --model 135M --rows load --repeat 11
  cargo xtask bench kernels
  cargo xtask bench serve --model 135M";

/// Compare mlxm's speed with other engines, side by side.
#[derive(Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Engine to compare with; repeat for more
    #[arg(long = "vs", value_name = "ENGINE", required = true, value_enum)]
    against: Vec<Rival>,
    /// Rows to measure [default: all]
    #[arg(long, value_name = "ROW,…", value_enum, value_delimiter = ',')]
    rows: Vec<Row>,
    /// Runs of each engine per row; fewer than 5 need --force
    #[arg(long, value_name = "N", default_value_t = FEWEST_RUNS)]
    repeat: usize,
    #[command(flatten)]
    options: Options,
}

/// What is measured in another way.
#[derive(Subcommand)]
enum Part {
    Kernels(kernels::Arguments),
    Serve(serve::Arguments),
}

/// An engine mlxm is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rival {
    /// llama.cpp with Q4_0 as llama-quantize makes it (a tied embedding gets 6 or 8 bits)
    #[value(name = "llama.cpp")]
    LlamaCpp,
    /// llama.cpp with Q4_0 in every matrix, which is as many bits as the MLX checkpoint has
    #[value(name = "llama.cpp-pure")]
    LlamaCppPure,
    /// OpenVINO GenAI with int4 weights (installs 6 GB of Python packages, once)
    #[value(name = "openvino")]
    OpenVino,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    match &arguments.part {
        Some(Part::Kernels(arguments)) => return kernels::execute(arguments),
        Some(Part::Serve(arguments)) => return serve::execute(arguments),
        None => {}
    }
    let options = &arguments.options;
    options.check(arguments.repeat, FEWEST_RUNS)?;
    let machine = Machine::read();
    let threads = options.threads(&machine);
    let program = build()?;
    let programs = llama_cpp::programs()?;
    let engines = engines(arguments, &program, &programs, threads)?;
    let mut models = Vec::new();
    for model in options.model.models() {
        let pair = Pair::prepare(*model, &program, &programs)?;
        for engine in &engines {
            engine.prepare(&pair)?;
        }
        models.push(pair);
    }
    if options.prepare {
        return Ok(());
    }

    let (circumstances, started) = options.begin(machine, arguments.repeat)?;
    let mut results = Results {
        schema: SCHEMA,
        reservations: Vec::new(),
        circumstances,
        engines: engines
            .iter()
            .map(|engine| engine.facts().clone())
            .collect(),
        models: models
            .iter()
            .map(|pair| model_facts(pair, &engines))
            .collect::<Result<_>>()?,
        measurements: Vec::new(),
    };
    for pair in &models {
        for row in rows(&arguments.rows) {
            let measurement = measure(&engines, pair, row, arguments)?;
            eprintln!("\n{}", report::speed_table(&[&measurement]));
            results.measurements.push(measurement);
        }
    }
    let disturbed = results
        .measurements
        .iter()
        .map(Measurement::disturbed)
        .sum();
    results.reservations = results.circumstances.reservations(FEWEST_RUNS, disturbed);
    let text = report::markdown(&results);
    println!("{text}");
    save(arguments, &results, &text, &started)
}

/// The rows asked for, each once and in their own order.
fn rows(wanted: &[Row]) -> Vec<Row> {
    Row::ALL
        .into_iter()
        .filter(|row| wanted.is_empty() || wanted.contains(row))
        .collect()
}

/// The release build of mlxm.
fn build() -> Result<PathBuf> {
    process::run(process::cargo().args(["build", "--release", "--locked", "--package", "mlxm"]))?;
    Ok(workspace::target_directory()?
        .join("release")
        .join(format!("mlxm{}", env::consts::EXE_SUFFIX)))
}

/// mlxm, then the others, each once.
fn engines(
    arguments: &Arguments,
    program: &Path,
    programs: &Path,
    threads: usize,
) -> Result<Vec<Box<dyn Engine>>> {
    let mlxm = Mlxm::new(
        program.to_owned(),
        threads,
        arguments.options.precision.clone(),
    )?;
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(mlxm)];
    for rival in Rival::value_variants() {
        if arguments.against.contains(rival) {
            let programs = programs.to_owned();
            engines.push(match rival {
                Rival::LlamaCpp => Box::new(LlamaCpp::new(programs, threads, File::Mixed)?),
                Rival::LlamaCppPure => Box::new(LlamaCpp::new(programs, threads, File::Pure)?),
                Rival::OpenVino => Box::new(OpenVino::new(program.to_owned(), threads)?),
            });
        }
    }
    Ok(engines)
}

/// The engines' runs of one row, by turns.
fn measure(
    engines: &[Box<dyn Engine>],
    pair: &Pair,
    row: Row,
    arguments: &Arguments,
) -> Result<Measurement> {
    if row == Row::Load {
        for engine in engines {
            measured::run(&mut engine.command(pair, row))?;
        }
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); engines.len()];
    let mut precisions = vec![None; engines.len()];
    let mut repeated = vec![0; engines.len()];
    for run in 1..=arguments.repeat {
        for (index, engine) in engines.iter().enumerate() {
            let name = &engine.facts().name;
            for attempt in 1.. {
                let (reading, sample) = measure_once(&**engine, pair, row)?;
                eprintln!(
                    "{} {row} {run}/{} {name}: {}, peak {}",
                    pair.model.name(),
                    arguments.repeat,
                    row.unit().show(reading.value),
                    models::show_size(sample.peak_rss_bytes)
                );
                if sample.is_disturbed() && attempt < ATTEMPTS && !arguments.options.force {
                    eprintln!("something else was running meanwhile; once more");
                    repeated[index] += 1;
                    continue;
                }
                precisions[index] = reading.precision;
                samples[index].push(sample);
                break;
            }
        }
    }
    let series = engines
        .iter()
        .zip(samples)
        .zip(precisions.into_iter().zip(repeated))
        .map(|((engine, samples), (precision, repeated))| {
            let name = engine.facts().name.clone();
            let command = record::portable(&process::describe(&engine.command(pair, row)))?;
            Series::new(name, command, precision, samples, repeated).context("no run was made")
        })
        .collect::<Result<_>>()?;
    Ok(Measurement::new(pair.model.name(), row, series))
}

fn measure_once(engine: &dyn Engine, pair: &Pair, row: Row) -> Result<(Reading, Sample)> {
    let measured = measured::run(&mut engine.command(pair, row))?;
    let reading = engine.read(row, &measured)?;
    if !(reading.value.is_finite() && reading.value > 0.0) {
        bail!(
            "{} measured {} in the row {row}",
            engine.facts().name,
            reading.value
        );
    }
    let sample = Sample::new(reading.value, &measured);
    Ok((reading, sample))
}

fn model_facts(pair: &Pair, engines: &[Box<dyn Engine>]) -> Result<ModelFacts> {
    let files = engines
        .iter()
        .map(|engine| (engine.facts().name.clone(), engine.model(pair)));
    ModelFacts::of(pair, files)
}

fn save(arguments: &Arguments, results: &Results, text: &str, started: &jiff::Zoned) -> Result<()> {
    let others: Vec<&str> = results
        .engines
        .iter()
        .skip(1)
        .map(|facts| facts.name.as_str())
        .collect();
    let part: Vec<&str> = if arguments.rows.is_empty() {
        Vec::new()
    } else {
        rows(&arguments.rows).into_iter().map(Row::name).collect()
    };
    let name = arguments.options.name(
        &results.circumstances,
        started,
        &format!("vs-{}", others.join("-")),
        &part,
        results.reservations.is_empty(),
    );
    record::save(&arguments.options.results, &name, text, results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_once_and_in_order() {
        assert_eq!(
            rows(&[Row::Load, Row::Decode, Row::Load]),
            [Row::Decode, Row::Load]
        );
        assert_eq!(rows(&[]), Row::ALL);
    }
}

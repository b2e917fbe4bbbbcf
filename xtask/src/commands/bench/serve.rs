//! `cargo xtask bench serve`: mlxm's server compared with another one, with many clients over HTTP.

mod client;
pub mod gateway;
mod load;
mod loop_time;
mod report;
mod results;
mod run_metrics;
mod servers;
mod workload;

use super::engines::llama_cpp::File;
use super::engines::mlxm::{BASELINE, Mlxm};
use super::machine::{CpuTime, Machine};
use super::models::{Model, ModelFiles};
use super::options::Options;
use super::regression::{PAIRS, RegressionCheck};
use super::results::ModelInfo;
use super::{ATTEMPTS, Competitor, child, record, turns};
use crate::mlxm::build;
use crate::resource_usage::own_cpu;
use crate::{llama_cpp, process};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use client::Client;
use loop_time::LoopTime;
use results::{Measurement, Point, Results, SCHEMA, Sample, Series};
use run_metrics::RunMetrics;
use servers::{Server, ServerCapacity};
use std::path::Path;
use std::time::Instant;
use workload::{CONTEXT_TOKENS, LONG_OUTPUTS, MIXED, REPEATED_CONTEXT_TOKENS, Request};

/// Runs of each server per point that an official result needs.
const MIN_RUNS: usize = 3;

/// Requests at each point over all runs: enough for a stable 90th percentile.
const REQUESTS: usize = 200;

/// The larger model is slower and gets fewer, so that a benchmark takes hours and not a day.
const REQUESTS_OF_LARGE_MODEL: usize = 60;

/// Minimum requests of each client, so that most of a closed loop is in its steady state.
const REQUESTS_PER_CLIENT: usize = 4;

/// Concurrent sequences in the open loop, where the number of clients is not known in advance.
const OPEN_SLOTS: usize = 32;

/// Clients in the closed loop.
const CLIENTS: [usize; 7] = [1, 2, 4, 5, 8, 16, 32];

/// Clients in the closed loop of a comparison with an earlier build of mlxm.
const REGRESSION_CLIENTS: [usize; 2] = [1, 16];

/// Clients with long outputs: one, and enough to show the effect of batching.
const LONG_CLIENTS: [usize; 2] = [1, 5];

/// A new and a repeated long prompt take as much time as this many requests.
const REQUESTS_PER_PAIR: usize = 10;

/// Rates of arrivals, as fractions of what the other server reached in the closed loop with most clients.
const LOADS: [f64; 2] = [0.5, 0.8];

/// The warm-up requests are different from the measured ones.
const WARM_UP_SEED: u64 = 0;
const WARM_UP_REQUESTS: usize = 2;
const FIRST_SEED: u64 = 1;

const HELP: &str = "\
ENGINE is llama.cpp, llama.cpp-pure or mlxm=PATH, as for `cargo xtask bench`. With mlxm=PATH the default is a check for \
performance regressions: the closed loop with 1 and 16 clients, 9 runs of each build.

Both servers get the same streaming requests over HTTP, with prompts of 32 to 512 tokens and outputs of 16 to 128. In the \
closed loop, a client sends its next request when the previous response is complete, once with such requests and once with \
short prompts and long outputs. In the open loop, requests arrive in a Poisson process, independently of earlier responses. \
In the test of repeated prompts, prompts of 2,000 tokens are sent twice. The servers take turns, run by run, each run in its \
own process. Preparation, the idle machine and the place of the results are as for `cargo xtask bench`.

With both models and all points this takes some hours; the 135M model alone takes less than one.

Examples:
  cargo xtask bench serve
  cargo xtask bench serve --vs mlxm=../before/target/release/mlxm
  cargo xtask bench serve --model 135M --clients 8,16
  cargo xtask bench serve --model 1.56B --clients 1,5 --loads 0.5 --requests 60
  cargo xtask bench serve --model 135M --kinds repeated
  cargo xtask bench serve --model 135M --clients 1 --rates 1,2,4";

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The closed loop
    Closed,
    /// The closed loop with long outputs, 1 and 5 clients
    Long,
    /// The open loop
    Open,
    /// Repeated long prompts
    Repeated,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Closed, Self::Long, Self::Repeated, Self::Open];
}

/// Compare the throughput and latency of mlxm's server with another one
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Server to compare with
    #[arg(long = "vs", value_name = "ENGINE", default_value = "llama.cpp")]
    competitor: Competitor,
    /// Kinds of load [default: closed,long,repeated,open; with mlxm=PATH closed]
    #[arg(long, value_enum, value_name = "KIND,…", value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Clients in the closed loop, one point for each number [default: 1,2,4,5,8,16,32; with mlxm=PATH 1,16]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    clients: Vec<usize>,
    /// Rates of the open loop, relative to the other server's throughput with the most clients [default: 0.5,0.8]
    #[arg(
        long,
        value_name = "X,…",
        value_delimiter = ',',
        conflicts_with = "rates"
    )]
    loads: Option<Vec<f64>>,
    /// Rates of the open loop, in requests per second
    #[arg(long, value_name = "RATE,…", value_delimiter = ',')]
    rates: Option<Vec<f64>>,
    /// Minimum requests at each point over all runs; each client sends at least 4 in each run
    /// [default: 200 for 135M, 60 for 1.56B]
    #[arg(long, value_name = "N")]
    requests: Option<usize>,
    /// Runs of each server per point; fewer than 3 need --force [default: 3; with mlxm=PATH 9]
    #[arg(long, value_name = "N")]
    repeat: Option<usize>,
    #[command(flatten)]
    options: Options,
}

impl Arguments {
    fn kinds(&self) -> &[Kind] {
        if !self.kinds.is_empty() {
            &self.kinds
        } else if self.competitor.is_mlxm() {
            &[Kind::Closed]
        } else {
            &Kind::ALL
        }
    }

    fn clients(&self) -> &[usize] {
        if !self.clients.is_empty() {
            &self.clients
        } else if self.competitor.is_mlxm() {
            &REGRESSION_CLIENTS
        } else {
            &CLIENTS
        }
    }

    fn repeat(&self) -> usize {
        self.repeat.unwrap_or(if self.competitor.is_mlxm() {
            PAIRS
        } else {
            MIN_RUNS
        })
    }
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    check(arguments)?;
    let options = &arguments.options;
    options.check(arguments.repeat(), MIN_RUNS)?;
    let machine = Machine::read();
    let program = build()?;
    let servers = servers(arguments, &program, options.threads(&machine))?;
    let mut models = Vec::new();
    for model in options.model.models() {
        let files = ModelFiles::locate(*model)?;
        for server in &servers {
            server.engine().prepare(&files)?;
        }
        models.push(files);
    }
    if options.prepare {
        return Ok(());
    }

    let (conditions, started) = options.begin(machine, arguments.repeat())?;
    let info = |files: &ModelFiles| {
        let paths = servers
            .iter()
            .map(|server| (server.info().name.clone(), server.engine().model(files)));
        ModelInfo::new(files.model, paths)
    };
    let mut results = Results {
        schema: SCHEMA,
        unofficial_reasons: Vec::new(),
        conditions,
        engines: servers.iter().map(|one| one.info().clone()).collect(),
        models: models.iter().map(info).collect::<Result<_>>()?,
        measurements: Vec::new(),
        regression: None,
    };
    for files in &models {
        for kind in arguments.kinds() {
            for point in points(*kind, arguments, files, &results)? {
                let measurement = measure(&servers, files, point, arguments)?;
                results.measurements.push(measurement);
            }
        }
    }
    let disturbed = results
        .measurements
        .iter()
        .map(Measurement::disturbed)
        .sum();
    results.unofficial_reasons = results.conditions.unofficial_reasons(MIN_RUNS, disturbed);
    results.unofficial_reasons.extend(results.failures());
    if arguments.competitor.is_mlxm() {
        results.regression = results.check_regression(BASELINE);
    }
    let text = report::markdown(&results);
    println!("{text}");
    let other = results.engines.last().map_or("", |info| &*info.name);
    let name = options.name(
        &results.conditions,
        &started,
        &format!("serve-vs-{other}"),
        &[],
        results.unofficial_reasons.is_empty(),
    );
    record::save(&options.results, &name, &text, &results)?;
    results
        .regression
        .as_ref()
        .map_or(Ok(()), RegressionCheck::require_passed)
}

/// mlxm's server and its competitor.
fn servers(arguments: &Arguments, program: &Path, threads: usize) -> Result<[Server; 2]> {
    let dtype = arguments.options.activation_dtype;
    let mlxm = Server::mlxm(Mlxm::current(program, threads, dtype)?);
    let competitor = match &arguments.competitor {
        Competitor::LlamaCpp => Server::llama_cpp(&llama_cpp::programs()?, threads, File::Mixed)?,
        Competitor::LlamaCppPure => {
            Server::llama_cpp(&llama_cpp::programs()?, threads, File::Pure)?
        }
        Competitor::Mlxm(path) => Server::mlxm(Mlxm::baseline(path, program, threads, dtype)?),
        Competitor::OpenVino => bail!("openvino has no server to compare with"),
    };
    Ok([mlxm, competitor])
}

fn check(arguments: &Arguments) -> Result<()> {
    if arguments.requests == Some(0) {
        bail!("--requests must be at least 1");
    }
    if arguments.clients.contains(&0) {
        bail!("--clients must be at least 1");
    }
    let factors = arguments.loads.iter().chain(&arguments.rates).flatten();
    if factors
        .into_iter()
        .any(|factor| !(factor.is_finite() && *factor > 0.0))
    {
        bail!("--loads and --rates must be above 0");
    }
    Ok(())
}

/// The points of one kind.
fn points(
    kind: Kind,
    arguments: &Arguments,
    files: &ModelFiles,
    results: &Results,
) -> Result<Vec<Point>> {
    Ok(match kind {
        Kind::Closed => {
            let clients = arguments.clients().iter().copied();
            clients.map(|clients| Point::Closed { clients }).collect()
        }
        Kind::Long => LONG_CLIENTS.map(|clients| Point::Long { clients }).into(),
        Kind::Open => {
            let rates = rates(arguments, files, results)?.into_iter();
            rates.map(|rate| Point::Open { rate }).collect()
        }
        Kind::Repeated => vec![Point::RepeatedPrompt],
    })
}

/// The rates of the open loop: as given, or relative to the other server's throughput.
fn rates(arguments: &Arguments, files: &ModelFiles, results: &Results) -> Result<Vec<f64>> {
    if let Some(rates) = &arguments.rates {
        return Ok(rates.clone());
    }
    let reached = results
        .capacity(files.model.name())
        .context("the open loop needs the result of the closed one; give --rates")?;
    let loads = arguments.loads.as_deref().unwrap_or(&LOADS);
    // Two digits are enough to reproduce the rate with --rates.
    Ok(loads
        .iter()
        .map(|load| ((load * reached * 100.0).round() / 100.0).max(0.01))
        .collect())
}

/// The servers' interleaved runs at one point.
fn measure(
    servers: &[Server],
    files: &ModelFiles,
    point: Point,
    arguments: &Arguments,
) -> Result<Measurement> {
    let count = requests_per_run(arguments, files.model, point);
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); servers.len()];
    let mut repeated = vec![0; servers.len()];
    for run in 1..=arguments.repeat() {
        // Each run has different requests, the same for both servers.
        let seed = FIRST_SEED + run as u64;
        let requests = match point {
            Point::Closed { .. } | Point::Open { .. } => workload::requests(MIXED, seed, count),
            Point::Long { .. } => workload::requests(LONG_OUTPUTS, seed, count),
            Point::RepeatedPrompt => workload::repeated_requests(seed, count),
        };
        for index in turns(servers.len(), run) {
            let server = &servers[index];
            for attempt in 1.. {
                let sample = measure_once(server, files, point, &requests, seed)?;
                eprintln!(
                    "{} {point} {run}/{} {}: {sample}",
                    files.model.name(),
                    arguments.repeat(),
                    server.info().name,
                );
                if sample.is_disturbed() && attempt < ATTEMPTS && !arguments.options.force {
                    eprintln!("other programs were running; repeating the run");
                    repeated[index] += 1;
                    continue;
                }
                samples[index].push(sample);
                break;
            }
        }
    }
    let series = servers
        .iter()
        .zip(samples)
        .zip(repeated)
        .map(|((server, samples), repeated)| {
            let command = server.command(files, capacity(point), 0);
            let command = record::portable(&process::describe(&command))?;
            let name = server.info().name.clone();
            Series::new(name, command, samples, repeated).context("no run was made")
        })
        .collect::<Result<_>>()?;
    Ok(Measurement::new(files.model.name(), point, series))
}

fn measure_once(
    server: &Server,
    files: &ModelFiles,
    point: Point,
    requests: &[Request],
    seed: u64,
) -> Result<Sample> {
    let before = CpuTime::read();
    let (own_before, started) = (own_cpu(), Instant::now());
    let running = server.start(files, capacity(point))?;
    let client = Client::new(running.address());
    for request in workload::requests(MIXED, WARM_UP_SEED, WARM_UP_REQUESTS) {
        if let Err(error) = client.complete(&request, Instant::now()).completion {
            let name = &server.info().name;
            bail!("{name} does not respond: {error}\n{}", running.log());
        }
    }
    let loop_time = || LoopTime::parse(&client.get("/metrics")?);
    let loop_before = loop_time();
    let run = match point {
        Point::Closed { clients } | Point::Long { clients } => {
            load::closed(&client, clients, requests)?
        }
        Point::RepeatedPrompt => load::closed(&client, 1, requests)?,
        Point::Open { rate } => {
            let arrivals = workload::arrivals(seed, rate, requests.len());
            load::open(&client, &arrivals, requests)?
        }
    };
    let outside_forward = loop_before
        .zip(loop_time())
        .and_then(|(before, after)| after.outside_forward_since(before));
    let metrics = RunMetrics::of(&run);
    if metrics.completions == 0 {
        bail!(
            "{} completed no request: {}\n{}",
            server.info().name,
            metrics.error.unwrap_or_default(),
            running.log()
        );
    }
    let usage = running.kill()?;
    let wall = started.elapsed();
    let own = own_cpu().saturating_sub(own_before);
    let other_cpus = before
        .filter(|_| wall >= child::MIN_WALL)
        .zip(CpuTime::read())
        .map(|(before, after)| after.others_since(&before, usage.cpu + own, wall));
    Ok(Sample {
        metrics,
        outside_forward,
        peak_rss_bytes: usage.peak_rss_bytes,
        wall_seconds: wall.as_secs_f64(),
        server_cpu_seconds: usage.cpu.as_secs_f64(),
        client_cpu_seconds: own.as_secs_f64(),
        other_cpus,
    })
}

/// What a server is sized for at a point.
fn capacity(point: Point) -> ServerCapacity {
    let slots = match point {
        Point::Closed { clients } | Point::Long { clients } => clients,
        Point::Open { .. } => OPEN_SLOTS,
        Point::RepeatedPrompt => 1,
    };
    let context = match point {
        Point::RepeatedPrompt => REPEATED_CONTEXT_TOKENS,
        _ => CONTEXT_TOKENS,
    };
    ServerCapacity { slots, context }
}

/// Requests of a run, or pairs of requests for repeated prompts.
fn requests_per_run(arguments: &Arguments, model: Model, point: Point) -> usize {
    let wanted = arguments.requests.unwrap_or(match model {
        Model::Starter => REQUESTS,
        Model::Random => REQUESTS_OF_LARGE_MODEL,
    });
    let minimum = match point {
        Point::Closed { clients } | Point::Long { clients } => REQUESTS_PER_CLIENT * clients,
        Point::RepeatedPrompt | Point::Open { .. } => 1,
    };
    let wanted = match point {
        Point::RepeatedPrompt => wanted.div_ceil(REQUESTS_PER_PAIR),
        _ => wanted,
    };
    wanted.div_ceil(arguments.repeat()).max(minimum)
}

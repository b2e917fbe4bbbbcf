//! `cargo xtask bench serve`: mlxm's server beside llama.cpp's, with many clients over HTTP.

mod client;
mod figures;
mod load;
mod metrics;
mod report;
mod results;
mod servers;
mod workload;

use super::engines::llama_cpp::File;
use super::machine::{CpuTime, Machine};
use super::models::{Model, Pair};
use super::options::Options;
use super::results::ModelFacts;
use super::{ATTEMPTS, build, measured, record};
use crate::{llama_cpp, process};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use client::Client;
use figures::Figures;
use metrics::LoopTime;
use results::{Measurement, Point, Results, SCHEMA, Sample, Series};
use servers::{Room, Server};
use std::time::Instant;
use workload::{CONTEXT_TOKENS, LONG_ANSWERS, MIXED, REPEATED_CONTEXT_TOKENS, Request};

/// Fewer runs than this say little.
const FEWEST_RUNS: usize = 3;

/// Requests at each point, over all runs: enough for a tenth of them to be more than an accident.
const REQUESTS: usize = 200;

/// A model as slow as the larger one gets fewer, or a benchmark takes a day.
const REQUESTS_OF_LARGE_MODEL: usize = 60;

/// Requests of each client at least, so that most of a closed loop is neither its beginning nor its end.
const REQUESTS_PER_CLIENT: usize = 4;

/// Sequences at once in the open loop, where nobody knows how many clients there will be.
const OPEN_SLOTS: usize = 32;

/// Clients whose answers are long: one, and as many as show what it brings to compute answers at once.
const LONG_CLIENTS: [usize; 2] = [1, 5];

/// A long prompt and the same once more count for as much time as this many requests.
const REQUESTS_PER_PAIR: usize = 10;

/// Parts of what llama.cpp reached in the closed loop with most clients, as rates of arrivals.
const LOADS: [f64; 2] = [0.5, 0.8];

/// The requests that warm a server up are none of those that are measured.
const WARM_UP_SEED: u64 = 0;
const WARM_UP_REQUESTS: usize = 2;
const FIRST_SEED: u64 = 1;

const HELP: &str = "\
Both servers get the same requests over HTTP, with prompts of 32 to 512 tokens and answers of 16 to 128, and stream their \
answers. In the closed loop a client sends its next request when it has its last answer, once with such requests and once \
with long answers to short prompts; in the open loop requests arrive at a rate (a Poisson process), whatever became of those \
before; and prompts of 2,000 tokens come a second time. The servers take turns, run by run, each run in a process \
of its own. Preparation, the idle machine and where results go are those of `cargo xtask bench`.

With both models and all points this takes some hours; the 135M model alone takes less than one.

Examples:
  cargo xtask bench serve
  cargo xtask bench serve --model 135M --clients 8,16
  cargo xtask bench serve --model 1.56B --clients 1,5 --loads 0.5 --requests 60
  cargo xtask bench serve --model 135M --kinds again
  cargo xtask bench serve --model 135M --clients 1 --rates 1,2,4";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The closed loop
    Closed,
    /// The closed loop with long answers, 1 and 5 clients
    Long,
    /// The open loop
    Open,
    /// Long prompts that come again
    Again,
}

/// Compare the throughput and latency of mlxm's server with llama.cpp's
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// What to measure
    #[arg(
        long,
        value_enum,
        value_name = "KIND,…",
        value_delimiter = ',',
        default_value = "closed,long,again,open"
    )]
    kinds: Vec<Kind>,
    /// Clients in the closed loop, one point for each number
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,2,4,5,8,16,32"
    )]
    clients: Vec<usize>,
    /// Rates of the open loop, as parts of what llama.cpp reached with the most clients [default: 0.5,0.8]
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
    /// Requests at each point over all runs at least; each client sends 4 in each run at least
    /// [default: 200 for 135M, 60 for 1.56B]
    #[arg(long, value_name = "N")]
    requests: Option<usize>,
    /// Runs of each server per point; fewer than 3 need --force
    #[arg(long, value_name = "N", default_value_t = FEWEST_RUNS)]
    repeat: usize,
    /// Give llama.cpp the file with Q4_0 in every matrix, which has as many bits as the MLX checkpoint
    #[arg(long)]
    pure: bool,
    #[command(flatten)]
    options: Options,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    check(arguments)?;
    let options = &arguments.options;
    options.check(arguments.repeat, FEWEST_RUNS)?;
    let machine = Machine::read();
    let threads = options.threads(&machine);
    let program = build()?;
    let programs = llama_cpp::programs()?;
    let file = if arguments.pure {
        File::Pure
    } else {
        File::Mixed
    };
    let servers = [
        Server::mlxm(&program, threads, options.precision.clone())?,
        Server::llama_cpp(&programs, threads, file)?,
    ];
    let pairs = options
        .model
        .models()
        .iter()
        .map(|model| Pair::prepare(*model, &program, &programs))
        .collect::<Result<Vec<_>>>()?;
    if options.prepare {
        return Ok(());
    }

    let (circumstances, started) = options.begin(machine, arguments.repeat)?;
    let files = |pair| {
        let of = |server: &Server| (server.facts().name.clone(), server.model(pair));
        ModelFacts::of(pair, servers.iter().map(of))
    };
    let mut results = Results {
        schema: SCHEMA,
        reservations: Vec::new(),
        circumstances,
        engines: servers.iter().map(|one| one.facts().clone()).collect(),
        models: pairs.iter().map(files).collect::<Result<_>>()?,
        measurements: Vec::new(),
    };
    for pair in &pairs {
        for kind in &arguments.kinds {
            for point in points(*kind, arguments, pair, &results)? {
                let measurement = measure(&servers, pair, point, arguments)?;
                results.measurements.push(measurement);
            }
        }
    }
    let disturbed = results
        .measurements
        .iter()
        .map(Measurement::disturbed)
        .sum();
    results.reservations = results.circumstances.reservations(FEWEST_RUNS, disturbed);
    results.reservations.extend(results.failures());
    let text = report::markdown(&results);
    println!("{text}");
    let other = results.engines.last().map_or("", |facts| &*facts.name);
    let name = options.name(
        &results.circumstances,
        &started,
        &format!("serve-vs-{other}"),
        &[],
        results.reservations.is_empty(),
    );
    record::save(&options.results, &name, &text, &results)
}

fn check(arguments: &Arguments) -> Result<()> {
    if arguments.requests == Some(0) {
        bail!("--requests is at least 1");
    }
    if arguments.clients.contains(&0) {
        bail!("--clients are at least 1");
    }
    let factors = arguments.loads.iter().chain(&arguments.rates).flatten();
    if factors
        .into_iter()
        .any(|factor| !(factor.is_finite() && *factor > 0.0))
    {
        bail!("--loads and --rates are above 0");
    }
    Ok(())
}

/// The points of one kind.
fn points(kind: Kind, arguments: &Arguments, pair: &Pair, results: &Results) -> Result<Vec<Point>> {
    Ok(match kind {
        Kind::Closed => {
            let clients = arguments.clients.iter().copied();
            clients.map(|clients| Point::Closed { clients }).collect()
        }
        Kind::Long => LONG_CLIENTS.map(|clients| Point::Long { clients }).into(),
        Kind::Open => {
            let rates = rates(arguments, pair, results)?.into_iter();
            rates.map(|rate| Point::Open { rate }).collect()
        }
        Kind::Again => vec![Point::Again],
    })
}

/// The rates of the open loop: those that were given, or parts of what the other server reached.
fn rates(arguments: &Arguments, pair: &Pair, results: &Results) -> Result<Vec<f64>> {
    if let Some(rates) = &arguments.rates {
        return Ok(rates.clone());
    }
    let reached = results
        .capacity(pair.model.name())
        .context("the closed loop was not measured before the open one; give --rates")?;
    let loads = arguments.loads.as_deref().unwrap_or(&LOADS);
    // Two digits are enough to repeat the same rate by hand.
    Ok(loads
        .iter()
        .map(|load| ((load * reached * 100.0).round() / 100.0).max(0.01))
        .collect())
}

/// The servers' runs at one point, by turns.
fn measure(
    servers: &[Server],
    pair: &Pair,
    point: Point,
    arguments: &Arguments,
) -> Result<Measurement> {
    let count = requests_per_run(arguments, pair.model, point);
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); servers.len()];
    let mut repeated = vec![0; servers.len()];
    for run in 1..=arguments.repeat {
        // Each run has requests of its own, both servers have the same.
        let seed = FIRST_SEED + run as u64;
        let requests = match point {
            Point::Closed { .. } | Point::Open { .. } => workload::requests(MIXED, seed, count),
            Point::Long { .. } => workload::requests(LONG_ANSWERS, seed, count),
            Point::Again => workload::repeated_requests(seed, count),
        };
        for (index, server) in servers.iter().enumerate() {
            for attempt in 1.. {
                let sample = measure_once(server, pair, point, &requests, seed)?;
                eprintln!(
                    "{} {point} {run}/{} {}: {sample}",
                    pair.model.name(),
                    arguments.repeat,
                    server.facts().name,
                );
                if sample.is_disturbed() && attempt < ATTEMPTS && !arguments.options.force {
                    eprintln!("something else was running meanwhile; once more");
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
            let command = server.command(pair, room(point), 0);
            let command = record::portable(&process::describe(&command))?;
            let name = server.facts().name.clone();
            Series::new(name, command, samples, repeated).context("no run was made")
        })
        .collect::<Result<_>>()?;
    Ok(Measurement::new(pair.model.name(), point, series))
}

fn measure_once(
    server: &Server,
    pair: &Pair,
    point: Point,
    requests: &[Request],
    seed: u64,
) -> Result<Sample> {
    let before = CpuTime::read();
    let (own_before, started) = (measured::own_cpu(), Instant::now());
    let running = server.start(pair, room(point))?;
    let client = Client::new(&running.address);
    for request in workload::requests(MIXED, WARM_UP_SEED, WARM_UP_REQUESTS) {
        if let Err(error) = client.ask(&request, Instant::now()).answer {
            let name = &server.facts().name;
            bail!("{name} does not answer: {error}\n{}", running.log());
        }
    }
    let loop_time = || LoopTime::parse(&client.get("/metrics")?);
    let loop_before = loop_time();
    let run = match point {
        Point::Closed { clients } | Point::Long { clients } => {
            load::closed(&running.address, clients, requests)?
        }
        Point::Again => load::closed(&running.address, 1, requests)?,
        Point::Open { rate } => {
            let arrivals = workload::arrivals(seed, rate, requests.len());
            load::open(&running.address, &arrivals, requests)?
        }
    };
    let outside_forward = loop_before
        .zip(loop_time())
        .and_then(|(before, after)| after.outside_forward_since(before));
    let figures = Figures::of(&run);
    if figures.answers == 0 {
        bail!(
            "{} answered nothing: {}\n{}",
            server.facts().name,
            figures.error.unwrap_or_default(),
            running.log()
        );
    }
    let usage = running.stop()?;
    let wall = started.elapsed();
    let own = measured::own_cpu().saturating_sub(own_before);
    let other_cpus = before
        .filter(|_| wall >= measured::SHORTEST_TO_JUDGE)
        .zip(CpuTime::read())
        .map(|(before, after)| after.others_since(&before, usage.cpu + own, wall));
    Ok(Sample {
        figures,
        outside_forward,
        peak_rss_bytes: usage.peak_rss_bytes,
        wall_seconds: wall.as_secs_f64(),
        server_cpu_seconds: usage.cpu.as_secs_f64(),
        client_cpu_seconds: own.as_secs_f64(),
        other_cpus,
    })
}

/// What a server is to have room for.
fn room(point: Point) -> Room {
    let slots = match point {
        Point::Closed { clients } | Point::Long { clients } => clients,
        Point::Open { .. } => OPEN_SLOTS,
        Point::Again => 1,
    };
    let context = match point {
        Point::Again => REPEATED_CONTEXT_TOKENS,
        _ => CONTEXT_TOKENS,
    };
    Room { slots, context }
}

/// Requests of a run, or pairs of them.
fn requests_per_run(arguments: &Arguments, model: Model, point: Point) -> usize {
    let wanted = arguments.requests.unwrap_or(match model {
        Model::Starter => REQUESTS,
        Model::Random => REQUESTS_OF_LARGE_MODEL,
    });
    let fewest = match point {
        Point::Closed { clients } | Point::Long { clients } => REQUESTS_PER_CLIENT * clients,
        Point::Again | Point::Open { .. } => 1,
    };
    let wanted = match point {
        Point::Again => wanted.div_ceil(REQUESTS_PER_PAIR),
        _ => wanted,
    };
    wanted.div_ceil(arguments.repeat).max(fewest)
}

//! `cargo xtask bench gateway`: what the gateway adds to the latency of a worker and takes from its throughput.

use super::client::Client;
use super::load;
use super::run_metrics::RunMetrics;
use super::workload::{self, CONTEXT_TOKENS, LONG_OUTPUTS, Lengths, Request};
use crate::commands::bench::engines::Engine as _;
use crate::commands::bench::engines::mlxm::Mlxm;
use crate::commands::bench::machine::Machine;
use crate::commands::bench::models::{Model, ModelFiles};
use crate::commands::bench::options::Options;
use crate::commands::bench::report::{conditions, line, unofficial_reasons};
use crate::commands::bench::results::Conditions;
use crate::commands::bench::statistics::{Ratio, Summary, quantile};
use crate::commands::bench::{record, turns};
use crate::gateway::Gateway;
use crate::http;
use crate::mlxm::build;
use crate::resource_usage::{cpu_of_process, environment_of_process};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pairs of requests, and pairs of runs per number of streams, that an official result needs.
const MIN_PAIRS: usize = 300;
const MIN_RUNS: usize = 15;

/// Concurrent streams.
const STREAMS: [usize; 2] = [1, 16];

/// Requests of each stream in a run. Many short pairs cancel the machine's drift better than a few long ones.
const REQUESTS_PER_STREAM: usize = 2;

/// Short requests of equal length, so that the difference of a pair is that of the paths.
const PAIRED: Lengths = Lengths {
    prompt_tokens: (32, 32),
    output_tokens: (4, 4),
};

/// Most that the median time to first token may grow, in milliseconds.
const MAX_ADDED_MS: f64 = 1.0;

const METHOD: &str = "\
A gateway (`mlxm serve`) with a database of its own, which writes a row for each request, starts one worker. Requests go to \
this worker directly, with its key, and through the gateway. For the time to first token, requests of equal length alternate \
between the two ways, and the order of each second pair is reversed; every request has another prompt. The result is the median \
of the differences of the pairs. For throughput, runs with the same number of concurrent streams alternate likewise; the result \
is the median quotient of paired runs. The clients open a connection for each request. The gateway's CPU time is that of its \
process during the runs through it, divided by their output tokens.";

const HELP: &str = "\
Fails unless the gateway adds at most 1 ms to the median time to first token, and keeps at least 0.98 of the throughput (0.95 of \
the 135M model's with 16 streams). Preparation, the idle machine and the place of the results are as for `cargo xtask bench \
serve`.

Examples:
  cargo xtask bench gateway --model 135M
  cargo xtask bench gateway --model 135M --pairs 50 --repeat 1 --force";

/// Measure what the gateway adds to latency and takes from throughput
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// Pairs of requests for the time to first token; fewer than 300 need --force
    #[arg(long, value_name = "N", default_value_t = MIN_PAIRS)]
    pairs: usize,
    /// Pairs of runs for each number of streams; fewer than 15 need --force
    #[arg(long, value_name = "N", default_value_t = MIN_RUNS)]
    repeat: usize,
    #[command(flatten)]
    options: Options,
}

/// The results of one `cargo xtask bench gateway`.
#[derive(Debug, Serialize)]
struct Results {
    unofficial_reasons: Vec<String>,
    #[serde(flatten)]
    conditions: Conditions,
    models: Vec<ModelResult>,
}

#[derive(Debug, Serialize)]
struct ModelResult {
    model: &'static str,
    latency: Latency,
    throughput: Vec<Throughput>,
}

/// Times to first token of the pairs, in milliseconds.
#[derive(Debug, Serialize)]
struct Latency {
    direct_ms: Vec<f64>,
    through_ms: Vec<f64>,
    added: Summary,
    added_p90: f64,
}

/// Output tokens per second of the runs.
#[derive(Debug, Serialize)]
struct Throughput {
    streams: usize,
    /// Least median ratio.
    min_ratio: f64,
    direct_tps: Vec<f64>,
    through_tps: Vec<f64>,
    ratio: Ratio,
    /// CPU time of the gateway per output token, in microseconds.
    gateway_cpu_us: f64,
}

impl ModelResult {
    fn passes(&self) -> bool {
        let mut all = self.throughput.iter();
        self.latency.added.median <= MAX_ADDED_MS
            && all.all(|one| one.ratio.median_pair >= one.min_ratio)
    }
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let options = &arguments.options;
    options.check(arguments.repeat, MIN_RUNS)?;
    if arguments.pairs == 0 || (arguments.pairs < MIN_PAIRS && !options.force) {
        bail!("--pairs must be at least {MIN_PAIRS}, or at least 1 with --force");
    }
    let machine = Machine::read();
    let program = build()?;
    let threads = options.threads(&machine);
    if threads != machine.cores {
        bail!("the gateway chooses the threads of its workers: leave --threads out");
    }
    if options.activation_dtype.is_some() {
        bail!("the gateway's worker has mlxm's default: leave --activation-dtype out");
    }
    let engine = Mlxm::current(&program, threads, None)?;
    let mut models = Vec::new();
    for model in options.model.models() {
        let files = ModelFiles::locate(*model)?;
        engine.prepare(&files)?;
        models.push(files);
    }
    if options.prepare {
        return Ok(());
    }

    let (conditions, started) = options.begin(machine, arguments.repeat)?;
    let mut unofficial = conditions.unofficial_reasons(MIN_RUNS, 0);
    if arguments.pairs < MIN_PAIRS {
        unofficial.push(format!(
            "there were only {} pairs of requests, fewer than {MIN_PAIRS}.",
            arguments.pairs
        ));
    }
    let mut results = Results {
        unofficial_reasons: unofficial,
        conditions,
        models: Vec::new(),
    };
    for files in &models {
        let result = measure(&program, &engine.model(files), files.model, arguments)?;
        results.models.push(result);
    }
    let text = markdown(&results);
    println!("{text}");
    let official = results.unofficial_reasons.is_empty();
    let name = options.name(&results.conditions, &started, "gateway", &[], official);
    record::save(&options.results, &name, &text, &results)?;
    if !results.models.iter().all(ModelResult::passes) {
        bail!(
            "the gateway adds more than {MAX_ADDED_MS} ms to the first token, or keeps too little of the throughput"
        );
    }
    Ok(())
}

/// Least throughput relative to the worker's. A token of the small model takes so little time that more of it is HTTP.
fn min_throughput(model: Model, streams: usize) -> f64 {
    if streams > 1 && model == Model::ALL[0] {
        0.95
    } else {
        0.98
    }
}

/// Starts a gateway with the profile `default` of the model at `path`.
fn start_gateway(program: &Path, path: &Path) -> Result<Gateway> {
    let models = path.parent().context("the model has no directory")?;
    let gateway = Gateway::start(program, models)?;
    let profile = json!({
        "name": "default",
        "model": path.file_name().map(OsStr::to_string_lossy),
        // All streams may have a full context at the same time.
        "load": {
            "max_sequences": STREAMS[1],
            "context_length": CONTEXT_TOKENS,
            "kv_pool_tokens": STREAMS[1] * CONTEXT_TOKENS,
        },
    });
    let body = profile.to_string();
    let mut response = http::send(gateway.address(), "/api/profiles", Some(&body))?;
    if !response.is_success() {
        let mut text = String::new();
        response.body.read_to_string(&mut text)?;
        bail!("the profile is rejected: {text}");
    }
    Ok(gateway)
}

/// The two ways to a worker: directly and through a gateway.
struct Ways {
    clients: [Client; 2],
    gateway_pid: u32,
}

fn measure(
    program: &Path,
    path: &Path,
    model: Model,
    arguments: &Arguments,
) -> Result<ModelResult> {
    let gateway = start_gateway(program, path)?;
    let through = Client::new(gateway.address());
    let warm_up = workload::requests(PAIRED, 0, 2);
    // Starts the worker.
    times_to_first_token(&through, &warm_up)?;
    let ways = Ways {
        clients: [worker(&gateway)?, through],
        gateway_pid: gateway.pid(),
    };
    times_to_first_token(&ways.clients[0], &warm_up)?;
    let name = model.name();
    let latency = latency(&ways.clients, arguments.pairs)?;
    eprintln!("{name}: {:+.3} ms to the first token", latency.added.median);
    let mut throughput = Vec::new();
    for streams in STREAMS {
        let measured = measure_throughput(&ways, model, streams, arguments.repeat)?;
        eprintln!(
            "{name}: {:.3} of the throughput with {streams} streams",
            measured.ratio.median_pair
        );
        throughput.push(measured);
    }
    Ok(ModelResult {
        model: name,
        latency,
        throughput,
    })
}

/// A client of the gateway's only worker, with the key that the gateway has given it in its environment.
fn worker(gateway: &Gateway) -> Result<Client> {
    let (status, list) = gateway.request("/api/servers", None)?;
    let server = &list["servers"][0];
    let (Some(pid), Some(port)) = (server["pid"].as_u64(), server["port"].as_u64()) else {
        bail!("the gateway has no worker: status {status}: {list}");
    };
    let key = environment_of_process(u32::try_from(pid)?, "MLXM_API_KEY")?;
    Ok(Client::new(&format!("127.0.0.1:{port}")).with_key(&key))
}

/// Pairs of single requests to the worker and to the gateway.
fn latency(clients: &[Client; 2], pairs: usize) -> Result<Latency> {
    let requests = workload::requests(PAIRED, 1, 2 * pairs);
    let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for (pair, requests) in requests.chunks(2).enumerate() {
        for (index, request) in turns(2, pair).into_iter().zip(requests) {
            let measured = times_to_first_token(&clients[index], std::slice::from_ref(request))?;
            times[index].extend(measured);
        }
    }
    let [direct_ms, through_ms] = times;
    let differences = direct_ms.iter().zip(&through_ms);
    let added: Vec<f64> = differences
        .map(|(direct, through)| through - direct)
        .collect();
    Ok(Latency {
        added: Summary::of(added.iter().copied()).context("there are no pairs")?,
        added_p90: quantile(&added, 0.9).context("there are no pairs")?,
        direct_ms,
        through_ms,
    })
}

/// The times to first token of requests that are sent one after the other, in milliseconds.
fn times_to_first_token(client: &Client, requests: &[Request]) -> Result<Vec<f64>> {
    let time = |request: &Request| -> Result<f64> {
        let outcome = client.complete(request, Instant::now());
        let completion = outcome.completion.map_err(anyhow::Error::msg)?;
        let first = completion
            .token_times
            .first()
            .context("there is no token")?;
        Ok(first.saturating_duration_since(outcome.due).as_secs_f64() * 1e3)
    };
    requests.iter().map(time).collect()
}

/// Runs with this many concurrent streams, alternating between the worker and the gateway.
fn measure_throughput(
    ways: &Ways,
    model: Model,
    streams: usize,
    repeat: usize,
) -> Result<Throughput> {
    let mut speeds: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let (mut gateway_cpu, mut tokens) = (Duration::ZERO, 0);
    for run in 1..=repeat {
        for index in turns(2, run) {
            // Other prompts for each run, so that none is in the prefix cache.
            let seed = 1000 + (run * 2 + index) as u64;
            let requests = workload::requests(LONG_OUTPUTS, seed, streams * REQUESTS_PER_STREAM);
            let before = cpu_of_process(ways.gateway_pid)?;
            let metrics = RunMetrics::of(&load::closed(&ways.clients[index], streams, &requests)?);
            if let Some(error) = metrics.error {
                bail!("a request failed: {error}");
            }
            if index == 1 {
                gateway_cpu += cpu_of_process(ways.gateway_pid)?.saturating_sub(before);
                tokens += metrics.output_tokens;
            }
            speeds[index].push(metrics.output_tps);
        }
    }
    let [direct_tps, through_tps] = speeds;
    Ok(Throughput {
        streams,
        min_ratio: min_throughput(model, streams),
        ratio: Ratio::of(&through_tps, &direct_tps).context("there are no runs")?,
        direct_tps,
        through_tps,
        gateway_cpu_us: gateway_cpu.as_secs_f64() * 1e6 / tokens.max(1) as f64,
    })
}

fn markdown(results: &Results) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("# mlxm gateway vs worker\n"));
    unofficial_reasons(&mut text, &results.unofficial_reasons);
    conditions(&mut text, &results.conditions);
    for result in &results.models {
        line(&mut text, format_args!("\n## {}\n", result.model));
        line(
            &mut text,
            format_args!("| | result | limit |\n| --- | --- | --- |"),
        );
        let latency = &result.latency;
        line(
            &mut text,
            format_args!(
                "| added time to first token, median of {} pairs (p90) | {:.3} ms ({:.3} ms) | ≤ {MAX_ADDED_MS} ms |",
                latency.direct_ms.len(),
                latency.added.median,
                latency.added_p90
            ),
        );
        for throughput in &result.throughput {
            let ratio = &throughput.ratio;
            line(
                &mut text,
                format_args!(
                    "| throughput with {} streams, median of {} pairs (range) | {:.3} ({:.3}, {:.3}) | ≥ {} |",
                    throughput.streams,
                    throughput.direct_tps.len(),
                    ratio.median_pair,
                    ratio.smallest_pair,
                    ratio.largest_pair,
                    throughput.min_ratio
                ),
            );
            line(
                &mut text,
                format_args!(
                    "| CPU time of the gateway per token with {} streams | {:.0} µs | |",
                    throughput.streams, throughput.gateway_cpu_us
                ),
            );
        }
    }
    line(&mut text, format_args!("\n## Method\n\n{METHOD}"));
    text
}

//! Load for a while: the memory of the gateway does not grow, and each request is in the audit log with the counts of its worker.

use super::audit::{self, Row};
use super::clients::{Clients, End, MAX_TOKENS, expect};
use super::environment::{Environment, Home};
use super::{FULL_SECONDS, Outcome, api};
use crate::gateway::Gateway;
use crate::interrupt::pause;
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;

const CLIENTS: usize = 200;
const SEED: u64 = 13;
const DISCONNECTS: f64 = 0.25;

/// Most that the resident memory may grow from the first third of the load to its end.
const MAX_GROWTH: f64 = 1.05;
const MAX_GROWTH_BYTES: f64 = 8e6;

/// The worker's counter of generated tokens, in the metrics of the gateway.
const GENERATED_TOKENS: &str = "mlxm_generation_tokens_total{";

pub fn run(environment: &Environment) -> Result<Outcome> {
    let home = Home::with_starter(environment)?;
    let gateway = home.start()?;
    let workers = api::start_workers(&gateway)?;
    let earlier = audit::wait_for_rows(&gateway, workers.len())?.len();
    let clients = Clients {
        address: gateway.address(),
        count: CLIENTS,
        seed: SEED,
        disconnects: DISCONNECTS,
    };
    let third = environment.load / 3;
    let ((first, last), sent) = clients.run(|| {
        pause(third)?;
        audit::wait_for_ended(&gateway, earlier + CLIENTS)?;
        let first = resident_bytes(gateway.pid())?;
        pause(third * 2)?;
        Ok((first, resident_bytes(gateway.pid())?))
    })?;
    expect(&sent, "ended unexpectedly", |sent| {
        matches!(sent.end, End::Complete(_) | End::Disconnected)
    })?;
    if api::workers_of_profiles(&gateway)? != workers {
        bail!("a worker was replaced under load");
    }
    let rows = audit::wait_for_rows(&gateway, earlier + sent.len())?;
    audit::compare(&sent, &rows)?;
    let tokens = compare_with_workers(&gateway, &rows)?;
    let limit = first * MAX_GROWTH + MAX_GROWTH_BYTES;
    if last > limit {
        bail!(
            "the memory of the gateway grew from {} to {} MB, more than to {} MB",
            megabytes(first),
            megabytes(last),
            megabytes(limit)
        );
    }
    home.stop(gateway)?;
    let complete = sent.iter().filter(|sent| sent.end.is_complete()).count();
    let seconds = environment.load.as_secs();
    let short = if seconds < FULL_SECONDS {
        format!("short version, not of {FULL_SECONDS} s: ")
    } else {
        String::new()
    };
    Ok(Outcome::Passed(format!(
        "{short}{CLIENTS} clients, {} requests, of which {} disconnected; {tokens} tokens in rows and workers; \
         RSS of the gateway {} MB after {} s, {} MB after {seconds} s (limit {} MB)",
        sent.len(),
        sent.len() - complete,
        megabytes(first),
        third.as_secs(),
        megabytes(last),
        megabytes(limit),
    )))
}

/// Compares the generated tokens of all rows with those that the workers counted, and returns the former. A worker may have
/// generated tokens that it no longer reports for a client that disconnected, but not more than the request allows.
fn compare_with_workers(gateway: &Gateway, rows: &[Row]) -> Result<u64> {
    let metrics = api::get(gateway, "/metrics")?;
    let metrics = metrics.as_str().context("the metrics are not text")?;
    let generated = sum_of(metrics, GENERATED_TOKENS)?;
    let reported: u64 = rows.iter().filter_map(|row| row.completion_tokens).sum();
    let unreported: u64 = rows
        .iter()
        .filter(|row| row.status == 499)
        .map(|row| MAX_TOKENS.saturating_sub(row.completion_tokens.unwrap_or_default()))
        .sum();
    if !(reported..=reported + unreported).contains(&generated) {
        bail!(
            "the workers generated {generated} tokens, but the audit log has {reported}, and at most {unreported} more of \
             requests whose client disconnected"
        );
    }
    Ok(reported)
}

/// The sum of the samples of all workers. `name` ends with a brace.
fn sum_of(metrics: &str, name: &str) -> Result<u64> {
    let mut sum = 0;
    let mut samples = 0;
    for line in metrics.lines().filter(|line| line.starts_with(name)) {
        let value = line.rsplit(' ').next().and_then(|value| value.parse().ok());
        let value: u64 = value.with_context(|| format!("not a sample: {line}"))?;
        sum += value;
        samples += 1;
    }
    if samples != api::PROFILES.len() {
        bail!("{samples} workers have the metric {name}…}}");
    }
    Ok(sum)
}

/// The resident memory of a process.
fn resident_bytes(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let kilobytes = if let Ok(status) = status {
        let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        value.map(|value| value.trim_end_matches("kB").to_owned())
    } else {
        // Not Linux.
        let mut ps = process::program("ps");
        ps.args(["-o", "rss=", "-p", &pid.to_string()]);
        Some(process::read(&mut ps)?)
    };
    let kilobytes = kilobytes.and_then(|text| text.trim().parse::<f64>().ok());
    let kilobytes = kilobytes.with_context(|| format!("the memory of process {pid} is unknown"))?;
    Ok(kilobytes * 1024.0)
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1}", bytes / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_both_workers_are_added() {
        let metrics = "# TYPE mlxm_generation_tokens counter\n\
            mlxm_generation_tokens_total{server=\"a\",model=\"m\"} 7\n\
            mlxm_generation_tokens_total{server=\"b\",model=\"m n\"} 5\n\
            mlxm_gateway_tokens_total{kind=\"completion\"} 99\n# EOF\n";
        assert_eq!(sum_of(metrics, GENERATED_TOKENS).unwrap(), 12);
        assert!(sum_of("# EOF\n", GENERATED_TOKENS).is_err());
    }

    #[test]
    fn memory_of_this_process_is_known() {
        let bytes = resident_bytes(std::process::id()).unwrap();
        assert!(bytes > 100e3, "{bytes}");
    }
}

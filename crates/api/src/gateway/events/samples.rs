//! Measurements of servers and of the machine: every second while someone watches, else every 10 seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use mlxm_gateway::{ServerState, ServerStatus, process_use};
use mlxm_store::{Uuid, now_ms};
use tokio::time::Instant;

use super::topics::TopicName;
use crate::gateway::GatewayState;
use crate::gateway::management::read_memory;
use crate::wire::events::{Event, ServerEvent, Topic};
use crate::wire::servers::ServerMetrics;

const WATCHED_INTERVAL: Duration = Duration::from_secs(1);
const IDLE_INTERVAL: Duration = Duration::from_secs(10);

/// Blocks of the KV cache, by group of layers and state.
const BLOCKS: &str = "mlxm_kv_cache_blocks";

/// Counters of a server at some time, from which rates are computed.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    cpu_time_ms: Option<u64>,
    completion_tokens: Option<u64>,
    first_tokens: Option<FirstTokens>,
}

/// First tokens since the start of a server.
#[derive(Debug, Clone, Copy, PartialEq)]
struct FirstTokens {
    count: f64,
    /// The times to all of them together.
    seconds: f64,
}

/// Publishes measurements until the pool exits.
pub async fn publish_samples(state: GatewayState) {
    let mut watched = state.bus().watched();
    let mut readings = BTreeMap::new();
    loop {
        if measure(&state, &mut readings).await.is_none() {
            return;
        }
        let is_watched = {
            let topics = watched.borrow_and_update();
            let is_shown = |topic| topics.contains(&TopicName::Shared(topic));
            is_shown(Topic::Servers) || is_shown(Topic::System)
        };
        if is_watched {
            tokio::time::sleep(WATCHED_INTERVAL).await;
        } else {
            // The first reader does not wait.
            tokio::select! {
                () = tokio::time::sleep(IDLE_INTERVAL) => {}
                changed = watched.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Measures everything once; `None` if the pool has exited.
async fn measure(state: &GatewayState, readings: &mut BTreeMap<Uuid, Reading>) -> Option<()> {
    let servers = state.pool().servers().await.ok()?.servers;
    readings.retain(|id, _| servers.iter().any(|server| server.record.id == *id));
    let counters = join_all(servers.iter().map(|server| read(state, server))).await;
    for (ServerStatus { record, .. }, counters) in servers.iter().zip(counters) {
        let (id, now) = (record.id, Instant::now());
        let reading = Reading {
            at: now,
            cpu_time_ms: counters.cpu_time_ms,
            completion_tokens: counters.metrics.completion_tokens_total,
            first_tokens: counters.first_tokens,
        };
        let before = readings.insert(id, reading);
        let metrics = with_rates(counters.metrics, reading, before);
        state.monitor().history.record(&record.settings, metrics);
        state
            .bus()
            .publish(Event::Servers(ServerEvent::Metrics { id, metrics }));
    }
    let memory = read_memory(state).await.ok()?;
    state.bus().publish(Event::System(memory));
    Some(())
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counters {
    metrics: ServerMetrics,
    cpu_time_ms: Option<u64>,
    first_tokens: Option<FirstTokens>,
}

async fn read(state: &GatewayState, server: &ServerStatus) -> Counters {
    let record = &server.record;
    let client = &state.monitor().metrics_client;
    let text = match record.port {
        Some(port) if record.state == ServerState::Ready => client.fetch(port).await,
        _ => None,
    };
    let used = match record.process.as_ref().map(|process| process.pid) {
        Some(pid) => tokio::task::spawn_blocking(move || process_use(pid))
            .await
            .unwrap_or_default(),
        None => None,
    };
    let counters = text.as_deref().map(parse).unwrap_or_default();
    Counters {
        metrics: ServerMetrics {
            at_ms: now_ms(),
            resident_bytes: used.map(|used| used.resident_bytes),
            ..counters.metrics
        },
        cpu_time_ms: used.map(|used| used.cpu_time_ms),
        ..counters
    }
}

/// Adds what changed since the last reading.
fn with_rates(metrics: ServerMetrics, now: Reading, before: Option<Reading>) -> ServerMetrics {
    let rate = |of: fn(Reading) -> Option<u64>| {
        let before = before?;
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
        // A restarted process counts from zero.
        let change = of(now)?.checked_sub(of(before)?)?;
        (seconds > 0.0).then(|| change as f64 / seconds)
    };
    ServerMetrics {
        // 1000 ms of CPU time in a second are one core: 100%.
        cpu_percent: rate(|reading| reading.cpu_time_ms).map(|ms| ms / 10.0),
        tokens_per_second: rate(|reading| reading.completion_tokens),
        time_to_first_token_ms: mean_first_token_ms(
            now.first_tokens,
            before.and_then(|before| before.first_tokens),
        ),
        ..metrics
    }
}

/// Of the first tokens since the last reading of the same process.
fn mean_first_token_ms(now: Option<FirstTokens>, before: Option<FirstTokens>) -> Option<f64> {
    let (now, before) = (now?, before?);
    let count = now.count - before.count;
    (count > 0.0).then(|| (now.seconds - before.seconds).max(0.0) * 1000.0 / count)
}

/// The values of a worker's `/metrics`.
fn parse(text: &str) -> Counters {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    let mut blocks_used: Option<f64> = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let value = line
            .rsplit_once(' ')
            .and_then(|(_, value)| value.parse::<f64>().ok());
        if let Some(value) = value.filter(|value| value.is_finite()) {
            *sums.entry(name).or_default() += value;
            if name == BLOCKS && line.contains("state=\"used\"") {
                *blocks_used.get_or_insert_default() += value;
            }
        }
    }
    let value = |name: &str| sums.get(name).copied();
    let count = |name: &str| value(name).map(|value| value as u64);
    let computed = count("mlxm_prompt_tokens_total");
    let cached = count("mlxm_prefix_cache_hits_total");
    let ended = ["mlxm_request_success_total", "mlxm_requests_aborted_total"].map(count);
    let metrics = ServerMetrics {
        requests_total: ended.into_iter().flatten().reduce(|sum, more| sum + more),
        prompt_tokens_total: computed.map(|tokens| tokens + cached.unwrap_or_default()),
        cached_tokens_total: cached,
        completion_tokens_total: count("mlxm_generation_tokens_total"),
        running: count("mlxm_num_requests_running"),
        waiting: count("mlxm_num_requests_waiting"),
        kv_cache_usage: value("mlxm_kv_cache_usage_ratio"),
        kv_blocks_used: blocks_used.map(|blocks| blocks as u64),
        kv_blocks_total: count(BLOCKS),
        ..ServerMetrics::default()
    };
    Counters {
        metrics,
        cpu_time_ms: None,
        first_tokens: value("mlxm_time_to_first_token_seconds_count")
            .zip(value("mlxm_time_to_first_token_seconds_sum"))
            .map(|(count, seconds)| FirstTokens { count, seconds }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "# HELP mlxm_generation_tokens Tokens generated.\n\
        # TYPE mlxm_generation_tokens counter\n\
        mlxm_generation_tokens_total 120\n\
        mlxm_prompt_tokens_total 30\n\
        mlxm_prefix_cache_hits_total 70\n\
        mlxm_request_success_total{finished_reason=\"stop\"} 3\n\
        mlxm_request_success_total{finished_reason=\"length\"} 1\n\
        mlxm_requests_aborted_total 2\n\
        mlxm_num_requests_running 1\n\
        mlxm_num_requests_waiting 5\n\
        mlxm_kv_cache_blocks{group=\"full\",state=\"used\"} 2\n\
        mlxm_kv_cache_blocks{group=\"full\",state=\"free\"} 10\n\
        mlxm_kv_cache_blocks{group=\"window_64\",state=\"used\"} 1\n\
        mlxm_time_to_first_token_seconds_sum 1.5\n\
        mlxm_time_to_first_token_seconds_count 6\n\
        mlxm_time_to_first_token_seconds_bucket{le=\"0.005\"} 6\n\
        mlxm_kv_cache_usage_ratio 0.25\n\
        # EOF\n";

    #[test]
    fn metrics_of_a_worker_are_summed_over_labels() {
        let counters = parse(METRICS);
        let metrics = counters.metrics;
        assert_eq!(metrics.completion_tokens_total, Some(120));
        assert_eq!(metrics.prompt_tokens_total, Some(100));
        assert_eq!(metrics.cached_tokens_total, Some(70));
        assert_eq!(metrics.requests_total, Some(6));
        assert_eq!(metrics.waiting, Some(5));
        assert_eq!(metrics.kv_cache_usage, Some(0.25));
        assert_eq!(metrics.running, Some(1));
        assert_eq!(
            (metrics.kv_blocks_used, metrics.kv_blocks_total),
            (Some(3), Some(13))
        );
        let first_tokens = FirstTokens {
            count: 6.0,
            seconds: 1.5,
        };
        assert_eq!(counters.first_tokens, Some(first_tokens));
        assert_eq!(parse("no metrics\nx NaN"), Counters::default());
    }

    #[test]
    fn rates_need_two_readings_of_one_process() {
        let start = Instant::now();
        let reading = |seconds: u64, cpu_time_ms, completion_tokens| Reading {
            at: start + Duration::from_secs(seconds),
            cpu_time_ms: Some(cpu_time_ms),
            completion_tokens: Some(completion_tokens),
            first_tokens: None,
        };
        let rates = |now, before| {
            let metrics = with_rates(ServerMetrics::default(), now, before);
            (metrics.cpu_percent, metrics.tokens_per_second)
        };
        let (first, second) = (reading(0, 1000, 10), reading(2, 4000, 90));
        assert_eq!(rates(first, None), (None, None));
        assert_eq!(rates(second, Some(first)), (Some(150.0), Some(40.0)));
        // It was started again.
        assert_eq!(rates(reading(4, 10, 0), Some(second)), (None, None));
    }

    #[test]
    fn time_to_first_token_is_that_of_the_completions_since() {
        let at = |count, seconds| Some(FirstTokens { count, seconds });
        assert_eq!(mean_first_token_ms(at(3.0, 2.5), at(1.0, 2.0)), Some(250.0));
        assert_eq!(mean_first_token_ms(at(3.0, 2.5), at(3.0, 2.5)), None);
        assert_eq!(mean_first_token_ms(at(1.0, 0.5), at(3.0, 2.5)), None);
        assert_eq!(mean_first_token_ms(at(1.0, 0.5), None), None);
    }
}

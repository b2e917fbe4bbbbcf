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

/// Counters of a server at some time, from which rates are computed.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    cpu_time_ms: Option<u64>,
    completion_tokens: Option<u64>,
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
    for (id, counters) in join_all(servers.iter().map(|server| read(state, server))).await {
        let now = Instant::now();
        let reading = Reading {
            at: now,
            cpu_time_ms: counters.cpu_time_ms,
            completion_tokens: counters.metrics.completion_tokens_total,
        };
        let before = readings.insert(id, reading);
        let metrics = with_rates(counters.metrics, reading, before);
        state
            .bus()
            .publish(Event::Servers(ServerEvent::Metrics { id, metrics }));
    }
    let memory = read_memory(state).await.ok()?;
    state.bus().publish(Event::System(memory));
    Some(())
}

struct Counters {
    metrics: ServerMetrics,
    cpu_time_ms: Option<u64>,
}

async fn read(state: &GatewayState, server: &ServerStatus) -> (Uuid, Counters) {
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
    let metrics = ServerMetrics {
        at_ms: now_ms(),
        resident_bytes: used.map(|used| used.resident_bytes),
        ..text.as_deref().map(parse).unwrap_or_default()
    };
    let cpu_time_ms = used.map(|used| used.cpu_time_ms);
    let counters = Counters {
        metrics,
        cpu_time_ms,
    };
    (record.id, counters)
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
        ..metrics
    }
}

/// The values of a worker's `/metrics`.
fn parse(text: &str) -> ServerMetrics {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let value = line
            .rsplit_once(' ')
            .and_then(|(_, value)| value.parse::<f64>().ok());
        if let Some(value) = value.filter(|value| value.is_finite()) {
            *sums.entry(name).or_default() += value;
        }
    }
    let value = |name: &str| sums.get(name).copied();
    let count = |name: &str| value(name).map(|value| value as u64);
    let computed = count("mlxm_prompt_tokens_total");
    let cached = count("mlxm_prefix_cache_hits_total");
    let ended = ["mlxm_request_success_total", "mlxm_requests_aborted_total"].map(count);
    ServerMetrics {
        requests_total: ended.into_iter().flatten().reduce(|sum, more| sum + more),
        prompt_tokens_total: computed.map(|tokens| tokens + cached.unwrap_or_default()),
        cached_tokens_total: cached,
        completion_tokens_total: count("mlxm_generation_tokens_total"),
        waiting: count("mlxm_num_requests_waiting"),
        kv_cache_usage: value("mlxm_kv_cache_usage_ratio"),
        ..ServerMetrics::default()
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
        mlxm_num_requests_waiting 5\n\
        mlxm_kv_cache_usage_ratio 0.25\n\
        # EOF\n";

    #[test]
    fn metrics_of_a_worker_are_summed_over_labels() {
        let metrics = parse(METRICS);
        assert_eq!(metrics.completion_tokens_total, Some(120));
        assert_eq!(metrics.prompt_tokens_total, Some(100));
        assert_eq!(metrics.cached_tokens_total, Some(70));
        assert_eq!(metrics.requests_total, Some(6));
        assert_eq!(metrics.waiting, Some(5));
        assert_eq!(metrics.kv_cache_usage, Some(0.25));
        assert_eq!(parse("no metrics\nx NaN"), ServerMetrics::default());
    }

    #[test]
    fn rates_need_two_readings_of_one_process() {
        let start = Instant::now();
        let reading = |seconds: u64, cpu_time_ms, completion_tokens| Reading {
            at: start + Duration::from_secs(seconds),
            cpu_time_ms: Some(cpu_time_ms),
            completion_tokens: Some(completion_tokens),
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
}

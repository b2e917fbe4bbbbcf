//! Prometheus metrics of the engine, read when `/metrics` is scraped.

use std::time::Duration;

use mlxm_engine::{CacheGroupStats, GroupKind};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::state::ServedModel;

/// Registers the current values.
pub fn register(registry: &mut Registry, model: &ServedModel) {
    let stats = model.engine.stats();
    let counters = stats.counters;
    for (name, help, value) in [
        ("steps", "Engine steps", counters.steps),
        (
            "prompt_tokens",
            "Prompt tokens computed; tokens from the prefix cache do not count",
            counters.prompt_tokens,
        ),
        (
            "generation_tokens",
            "Tokens generated",
            counters.generated_tokens,
        ),
        (
            "num_preemptions",
            "Preemptions of running requests",
            counters.preemptions,
        ),
        (
            "prefix_cache_queries",
            "Tokens looked up in the prefix cache",
            counters.prefix_cache_query_tokens,
        ),
        (
            "prefix_cache_hits",
            "Tokens found in the prefix cache",
            counters.prefix_cache_hit_tokens,
        ),
    ] {
        registry.register(name, help, ConstCounter::new(value));
    }
    let mut seconds = |name: &str, help: &str, value: Duration| {
        registry.register(name, help, ConstCounter::new(value.as_secs_f64()));
    };
    seconds(
        "forward_seconds",
        "Time spent in forward passes",
        counters.forward_time,
    );
    seconds(
        "step_seconds",
        "Time spent in engine steps, forward passes included",
        counters.step_time,
    );
    for (name, help, value) in [
        (
            "num_requests_running",
            "Requests that hold KV cache blocks",
            stats.requests_running,
        ),
        (
            "num_requests_waiting",
            "Requests in the queue, preempted ones included",
            stats.requests_waiting,
        ),
    ] {
        registry.register(name, help, ConstGauge::new(value as i64));
    }
    register_kv_cache(registry, &stats.groups);
    register_memory(registry, model);
}

fn register_kv_cache(registry: &mut Registry, groups: &[CacheGroupStats]) {
    let blocks = Family::<[(&str, String); 2], Gauge>::default();
    registry.register(
        "kv_cache_blocks",
        "KV cache blocks by group of layers and state",
        blocks.clone(),
    );
    let unfilled = Family::<[(&str, String); 1], Gauge>::default();
    registry.register(
        "kv_cache_unfilled_tokens",
        "Token slots of used blocks that hold no token yet (internal fragmentation)",
        unfilled.clone(),
    );
    let mut usage = 0.0_f64;
    for group in groups {
        let name = match group.kind {
            GroupKind::SlidingWindow { window } => format!("window_{window}"),
            _ => "full".to_owned(),
        };
        for (state, count) in [
            ("used", group.used_blocks),
            ("cached", group.cached_blocks),
            ("free", group.free_blocks),
        ] {
            let labels = [("group", name.clone()), ("state", state.to_owned())];
            blocks.get_or_create(&labels).set(count as i64);
        }
        unfilled
            .get_or_create(&[("group", name)])
            .set(group.unfilled_tokens as i64);
        usage = usage.max(group.used_blocks as f64 / group.blocks.max(1) as f64);
    }
    registry.register(
        "kv_cache_usage_ratio",
        "Used share of the blocks of the fullest KV cache group, from 0 to 1",
        ConstGauge::new(usage),
    );
}

fn register_memory(registry: &mut Registry, model: &ServedModel) {
    let plan = model.engine.memory_plan();
    let memory = Family::<[(&str, &str); 1], Gauge>::default();
    registry.register(
        "memory_planned_bytes",
        "Memory planned when the model was loaded, by purpose",
        memory.clone(),
    );
    for (purpose, bytes) in [
        ("weights", plan.weights_bytes),
        ("kv_cache", plan.kv_pool_bytes),
        ("scratch", plan.scratch_bytes),
    ] {
        memory
            .get_or_create(&[("purpose", purpose)])
            .set(bytes as i64);
    }
    registry.register(
        "peak_resident_memory_bytes",
        "Peak resident memory of the process",
        ConstGauge::new(mlxm_engine::peak_resident_bytes() as i64),
    );
}

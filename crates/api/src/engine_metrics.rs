//! What the engine counts and holds, for `/metrics`.

use mlxm_engine::GroupKind;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::state::ServedModel;

/// Registers the values of this moment.
pub fn register(registry: &mut Registry, model: &ServedModel) {
    let report = model.engine.stats();
    let counters = report.counters;
    let mut count = |name: &str, help: &str, value: u64| {
        registry.register(name, help, ConstCounter::new(value));
    };
    count("steps", "Forward passes", counters.steps);
    count(
        "prompt_tokens",
        "Tokens of prompts that were computed",
        counters.prompt_tokens,
    );
    count(
        "generated_tokens",
        "Tokens of answers",
        counters.generated_tokens,
    );
    count(
        "preemptions",
        "Times that a running request gave way to another",
        counters.preemptions,
    );
    count(
        "prefix_lookup_tokens",
        "Tokens that were looked for in the cache",
        counters.prefix_cache_query_tokens,
    );
    count(
        "prefix_hit_tokens",
        "Tokens that were found there",
        counters.prefix_cache_hit_tokens,
    );
    let mut seconds = |name: &str, help: &str, value: std::time::Duration| {
        registry.register(name, help, ConstCounter::new(value.as_secs_f64()));
    };
    seconds(
        "forward_seconds",
        "Time inside of forward passes",
        counters.forward_time,
    );
    seconds(
        "step_seconds",
        "Time of whole steps, forward passes included",
        counters.step_time,
    );
    let mut now = |name: &str, help: &str, value: usize| {
        registry.register(name, help, ConstGauge::new(value as i64));
    };
    now(
        "requests_running",
        "Requests that hold cache blocks",
        report.requests_running,
    );
    now(
        "requests_waiting",
        "Requests that wait for room",
        report.requests_waiting,
    );

    let mut grouped = |name: &str, help: &str| {
        let family = Family::<[(&str, String); 2], Gauge>::default();
        registry.register(name, help, family.clone());
        family
    };
    let blocks = grouped("kv_blocks", "Cache blocks by kind of layer and use");
    let slots = grouped(
        "kv_unused_slots",
        "Token slots that running requests hold and have not filled",
    );
    for group in &report.groups {
        let kind = match group.kind {
            GroupKind::SlidingWindow { window } => format!("window_{window}"),
            _ => "full".to_owned(),
        };
        let uses = [
            ("used", group.used_blocks),
            ("cached", group.cached_blocks),
            ("free", group.free_blocks),
        ];
        for (using, count) in uses {
            let labels = [("layers", kind.clone()), ("use", using.to_owned())];
            blocks.get_or_create(&labels).set(count as i64);
        }
        let labels = [("layers", kind), ("use", "unused".to_owned())];
        slots.get_or_create(&labels).set(group.unused_slots as i64);
    }

    let plan = model.engine.memory_plan();
    let memory = Family::<[(&str, &str); 1], Gauge>::default();
    registry.register(
        "memory_planned_bytes",
        "Memory that was planned when the model was loaded, by purpose",
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
    let resident = mlxm_engine::peak_resident_bytes();
    registry.register(
        "memory_peak_bytes",
        "Largest resident memory so far",
        ConstGauge::new(resident as i64),
    );
}

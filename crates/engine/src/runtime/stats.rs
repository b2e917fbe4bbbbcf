//! Statistics of an engine, readable from any thread while it works.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mlxm_kvcache::{BlockPool, GroupKind};
use mlxm_scheduler::Scheduler;

/// Counts since the engine was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Forward passes.
    pub steps: u64,
    /// Tokens of prompts and completions that went through them.
    pub tokens: u64,
    /// Operations issued to the device.
    pub dispatches: u64,
    /// Prompt tokens computed. Tokens found in the prefix cache do not count; tokens that are recomputed after a preemption
    /// count again.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Preemptions of running requests.
    pub preemptions: u64,
    /// Tokens looked up in the prefix cache, each time a request starts.
    pub prefix_cache_query_tokens: u64,
    /// Tokens found in the prefix cache.
    pub prefix_cache_hit_tokens: u64,
    /// Time spent in forward passes of requests, from the first operation until the logits are computed.
    pub forward_time: Duration,
    /// Time spent in whole steps of requests: receiving commands, scheduling, forward pass, sampling, sending events.
    pub step_time: Duration,
    /// The longest of these steps.
    pub longest_step: Duration,
}

/// Current state and counters of an engine. All fields except `requests_waiting` and `draining` are from the end of the same
/// step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStats {
    /// Counts since the engine was loaded.
    pub counters: Counters,
    /// Requests in the queue: not started, or preempted.
    pub requests_waiting: usize,
    /// Requests that hold cache blocks.
    pub requests_running: usize,
    /// Whether new requests are rejected.
    pub draining: bool,
    /// Compute threads.
    pub threads: usize,
    /// The cache groups.
    pub groups: Vec<CacheGroupStats>,
}

/// How the blocks of a cache group are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheGroupStats {
    /// Which positions its layers still attend to.
    pub kind: GroupKind,
    /// All blocks: `used_blocks + cached_blocks + free_blocks`.
    pub blocks: usize,
    /// Blocks of running requests.
    pub used_blocks: usize,
    /// Blocks in the prefix cache that no running request uses.
    pub cached_blocks: usize,
    /// Blocks without content.
    pub free_blocks: usize,
    /// Internal fragmentation: token slots of used blocks that hold no token yet. Less than a block per running request.
    pub unfilled_tokens: usize,
}

/// The part of [`EngineStats`] that the worker publishes.
///
/// The lock is held only to exchange or clone the `Arc`.
#[derive(Debug, Default)]
pub struct SharedStats(Mutex<Arc<Snapshot>>);

#[derive(Debug, Default)]
struct Snapshot {
    counters: Counters,
    requests_running: usize,
    threads: usize,
    groups: Vec<CacheGroupStats>,
}

impl SharedStats {
    /// Publishes the state between two steps, which compute on `threads` threads.
    pub fn publish(
        &self,
        counters: &Counters,
        scheduler: &Scheduler,
        pool: &BlockPool,
        threads: usize,
    ) {
        let stats = pool.stats();
        let groups = stats
            .groups
            .iter()
            .enumerate()
            .map(|(index, group)| CacheGroupStats {
                kind: pool.kind(index),
                blocks: group.blocks,
                used_blocks: group.used,
                cached_blocks: group.cached,
                free_blocks: group.free,
                unfilled_tokens: scheduler.internal_fragmentation(index),
            });
        let snapshot = Snapshot {
            counters: Counters {
                prefix_cache_query_tokens: stats.prefix_cache_queries,
                prefix_cache_hit_tokens: stats.prefix_cache_hits,
                ..*counters
            },
            requests_running: scheduler.running(),
            threads,
            groups: groups.collect(),
        };
        *self.lock() = Arc::new(snapshot);
    }

    /// The counters as last published.
    pub fn counters(&self) -> Counters {
        self.lock().counters
    }

    /// The state as last published, completed by what [`Admission`](super::admission::Admission) counts.
    pub fn read(&self, in_flight: usize, draining: bool) -> EngineStats {
        let snapshot = Arc::clone(&self.lock());
        EngineStats {
            counters: snapshot.counters,
            requests_waiting: in_flight.saturating_sub(snapshot.requests_running),
            requests_running: snapshot.requests_running,
            draining,
            threads: snapshot.threads,
            groups: snapshot.groups.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Snapshot>> {
        // A panic cannot leave the pointer half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

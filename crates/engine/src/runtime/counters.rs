//! What an engine has done since it was loaded and what it holds now, readable while it works.

use std::time::Duration;

use mlxm_kvcache::{BlockPool, GroupKind};
use mlxm_scheduler::Scheduler;

use super::seqlock::SeqLock;

/// Counts since the engine was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Forward passes.
    pub steps: u64,
    /// Rows (tokens of prompts and of answers) that went through them.
    pub tokens: u64,
    /// Operations issued to the device.
    pub dispatches: u64,
    /// Tokens of requests' prompts that were computed: not those found in the cache, and again those of a request that
    /// gave way to another.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Times that a running request gave way to another.
    pub preemptions: u64,
    /// Tokens that were looked for in the cache, each time a request started.
    pub prefix_cache_query_tokens: u64,
    /// How many of those were there.
    pub prefix_cache_hit_tokens: u64,
    /// Time in_flight of the forward passes of requests, from the first operation until logits are there.
    pub forward_time: Duration,
    /// Time of the whole steps of requests: taking commands, planning, the forward pass, choosing tokens, telling readers.
    pub step_time: Duration,
}

/// What an engine holds now, and what it has done. All but `requests_waiting` and `draining` is as of the end of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStats {
    /// What has been done.
    pub counters: Counters,
    /// Requests in the engine that do not run: not started, or given way to others.
    pub requests_waiting: usize,
    /// Requests that hold cache blocks.
    pub requests_running: usize,
    /// Whether new requests are refused.
    pub draining: bool,
    /// The cache groups.
    pub groups: Vec<CacheGroupStats>,
}

/// How the blocks of a cache group are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheGroupStats {
    /// Which positions its layers still read.
    pub kind: GroupKind,
    /// All blocks: `used_blocks + cached_blocks + free_blocks`.
    pub blocks: usize,
    /// Blocks that running requests hold.
    pub used_blocks: usize,
    /// Blocks that nobody holds and a later prompt may still find.
    pub cached_blocks: usize,
    /// Blocks with nothing worth keeping.
    pub free_blocks: usize,
    /// Token slots that running requests hold and have not filled: less than a block for each of them.
    pub unused_slots: usize,
}

/// The part of a [`EngineStats`] that the worker publishes.
#[derive(Debug)]
pub struct SharedStats {
    words: SeqLock,
}

const COUNTERS: usize = 10;
const PER_GROUP: usize = 4;

impl SharedStats {
    /// Nothing done yet, with as many cache groups.
    pub fn new(groups: usize) -> Self {
        Self {
            words: SeqLock::new(COUNTERS + 1 + groups * PER_GROUP),
        }
    }

    /// Publishes the state between two steps.
    pub fn publish(&self, counters: &Counters, scheduler: &Scheduler, pool: &BlockPool) {
        let stats = pool.stats();
        let counters = Counters {
            prefix_cache_query_tokens: stats.prefix_cache_queries,
            prefix_cache_hit_tokens: stats.prefix_cache_hits,
            ..*counters
        };
        let groups = stats.groups.iter().enumerate().flat_map(|(at, group)| {
            let unused = scheduler.internal_fragmentation(at);
            [group.used, group.cached, group.free, unused].map(|count| count as u64)
        });
        let words = counters.to_words().into_iter();
        self.words
            .write(words.chain([scheduler.running() as u64]).chain(groups));
    }

    /// The counts so far.
    pub fn counters(&self) -> Counters {
        Counters::from_words(&self.words.read())
    }

    /// What was published last; `in_flight` requests are in the engine, and `kinds` are those of the groups.
    pub fn read(
        &self,
        in_flight: usize,
        draining: bool,
        kinds: impl Iterator<Item = GroupKind>,
    ) -> EngineStats {
        let words = self.words.read();
        let running = words[COUNTERS] as usize;
        let groups = words[COUNTERS + 1..].chunks_exact(PER_GROUP);
        EngineStats {
            counters: Counters::from_words(&words),
            requests_waiting: in_flight.saturating_sub(running),
            requests_running: running,
            draining,
            groups: kinds
                .zip(groups)
                .map(|(kind, words)| {
                    let [used_blocks, cached_blocks, free_blocks, unused_slots] =
                        std::array::from_fn(|at| words[at] as usize);
                    CacheGroupStats {
                        kind,
                        blocks: used_blocks + cached_blocks + free_blocks,
                        used_blocks,
                        cached_blocks,
                        free_blocks,
                        unused_slots,
                    }
                })
                .collect(),
        }
    }
}

impl Counters {
    fn to_words(self) -> [u64; COUNTERS] {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        [
            self.steps,
            self.tokens,
            self.dispatches,
            self.prompt_tokens,
            self.generated_tokens,
            self.preemptions,
            self.prefix_cache_query_tokens,
            self.prefix_cache_hit_tokens,
            nanoseconds(self.forward_time),
            nanoseconds(self.step_time),
        ]
    }

    fn from_words(words: &[u64]) -> Self {
        Self {
            steps: words[0],
            tokens: words[1],
            dispatches: words[2],
            prompt_tokens: words[3],
            generated_tokens: words[4],
            preemptions: words[5],
            prefix_cache_query_tokens: words[6],
            prefix_cache_hit_tokens: words[7],
            forward_time: Duration::from_nanos(words[8]),
            step_time: Duration::from_nanos(words[9]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_round_trip_through_words() {
        let counters = Counters {
            steps: 1,
            tokens: 2,
            dispatches: 3,
            prompt_tokens: 4,
            generated_tokens: 5,
            preemptions: 6,
            prefix_cache_query_tokens: 7,
            prefix_cache_hit_tokens: 8,
            forward_time: Duration::from_nanos(9),
            step_time: Duration::from_nanos(10),
        };
        assert_eq!(Counters::from_words(&counters.to_words()), counters);
    }
}

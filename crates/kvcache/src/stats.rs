//! Numbers about a pool, for metrics.

/// How the blocks of one group are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupStats {
    /// All blocks of the group: `used + cached + free`.
    pub blocks: usize,
    /// Blocks that at least one sequence holds.
    pub used: usize,
    /// Blocks that no sequence holds but a later prompt may still find.
    pub cached: usize,
    /// Blocks with nothing worth keeping.
    pub free: usize,
}

/// How a pool is used. The counters only go up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStats {
    /// One entry per group, in the order of the configuration.
    pub groups: Vec<GroupStats>,
    /// Prompt tokens of all sequences that were started with a prefix lookup.
    pub prefix_cache_queries: u64,
    /// How many of those were found in the cache.
    pub prefix_cache_hits: u64,
}

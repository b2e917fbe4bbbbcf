//! Pool statistics for metrics.

/// Block usage of one cache group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupStats {
    /// Total blocks: `used + cached + free`.
    pub blocks: usize,
    /// Blocks referenced by at least one sequence.
    pub used: usize,
    /// Blocks without references that are still in the prefix cache.
    pub cached: usize,
    /// Blocks without references and without cached content.
    pub free: usize,
}

/// Usage of a pool. The counters are monotonic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStats {
    /// One entry per cache group, in configuration order.
    pub groups: Vec<GroupStats>,
    /// Number of tokens looked up in the prefix cache. A sequence counts once, when its first slots are allocated.
    pub prefix_cache_queries: u64,
    /// Number of tokens found in the prefix cache.
    pub prefix_cache_hits: u64,
}

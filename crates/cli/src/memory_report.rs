//! A memory plan in JSON output.

use mlxm_engine::MemoryPlan;
use serde::Serialize;

/// The planned memory of a model.
#[derive(Debug, Serialize)]
pub struct MemoryReport {
    /// Tokens of a sequence, prompt and completion together.
    pub context_length: usize,
    /// Size of the weight files.
    pub weights_bytes: u64,
    /// Data type of cached keys and values.
    pub kv_cache_dtype: String,
    /// Keys and values of a token.
    pub kv_bytes_per_token: u64,
    /// The whole KV cache.
    pub kv_pool_bytes: u64,
    /// Activations and fixed overhead.
    pub scratch_bytes: u64,
    /// The sum.
    pub total_bytes: u64,
}

impl From<&MemoryPlan> for MemoryReport {
    fn from(plan: &MemoryPlan) -> Self {
        Self {
            context_length: plan.context_length,
            weights_bytes: plan.weights_bytes,
            kv_cache_dtype: plan.kv_cache_dtype.to_string(),
            kv_bytes_per_token: plan.kv_bytes_per_token,
            kv_pool_bytes: plan.kv_pool_bytes,
            scratch_bytes: plan.scratch_bytes,
            total_bytes: plan.total_bytes,
        }
    }
}

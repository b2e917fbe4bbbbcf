//! The memory plan of a model on a GPU.

use super::machine_memory::MachineMemory;
use super::memory::{MemoryPlan, mebibytes};
use crate::error::LoadError;
use crate::forward::{CacheLayer, Dimensions};
use crate::options::LoadOptions;

/// The part of the memory that a GPU can use well that a model may take. The rest is for what the system and other programs
/// draw.
const GPU_SHARE: f64 = 0.95;

/// The memory limit of a model on a GPU that can use `working_set_bytes` well (`recommendedMaxWorkingSetSize`). Metal accepts
/// more, and then fails in the middle of a pass or wires memory again in every pass.
fn gpu_budget_bytes(working_set_bytes: u64) -> u64 {
    (working_set_bytes as f64 * GPU_SHARE) as u64
}

impl MemoryPlan {
    /// As [`MemoryPlan::new`], on a GPU that can use `working_set_bytes` well.
    ///
    /// # Errors
    /// As [`MemoryPlan::new`], and when the plan exceeds what a model may take of the working set.
    pub fn on_gpu(
        layers: &[CacheLayer],
        sizes: &Dimensions,
        rope_scaled_context: Option<usize>,
        weights_bytes: u64,
        options: &LoadOptions,
        working_set_bytes: u64,
    ) -> Result<Self, LoadError> {
        let budget = gpu_budget_bytes(working_set_bytes);
        let machine = || MachineMemory::read().map(MachineMemory::model_budget_bytes);
        let limit = options.memory_bytes.or_else(machine);
        let limit = limit.unwrap_or(u64::MAX).min(budget);
        let limited = LoadOptions {
            memory_bytes: Some(limit),
            ..options.clone()
        };
        let plan = Self::new(layers, sizes, rope_scaled_context, weights_bytes, &limited);
        plan.map_err(|error| match error {
            LoadError::Memory(problem) if limit == budget => LoadError::Memory(format!(
                "{problem}; the limit is that of the GPU, which can use {} well",
                mebibytes(working_set_bytes)
            )),
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use mlxm_kvcache::GroupKind;

    use super::*;
    use crate::forward::AttentionDims;

    const MIB: u64 = 1 << 20;

    /// A plan for a model with weights of 1000 MiB on a GPU.
    fn on_gpu(working_set_bytes: u64, options: &LoadOptions) -> Result<MemoryPlan, LoadError> {
        let attention = AttentionDims {
            hidden_size: 1024,
            heads: 16,
            kv_heads: 8,
            head_dim: 128,
        };
        let sizes = Dimensions {
            vocab_size: 32_000,
            hidden_size: 1024,
            intermediate_size: 4096,
            num_hidden_layers: 16,
            attention,
            max_position_embeddings: Some(32_768),
        };
        let layers = vec![CacheLayer::new(GroupKind::Full, attention); 16];
        let weights_bytes = 1000 * MIB;
        MemoryPlan::on_gpu(
            &layers,
            &sizes,
            None,
            weights_bytes,
            options,
            working_set_bytes,
        )
    }

    #[test]
    fn model_on_a_gpu_stays_below_its_working_set() {
        let auto = LoadOptions {
            memory_bytes: Some(32_000 * MIB),
            ..LoadOptions::default()
        };
        let large = on_gpu(16_000 * MIB, &auto).unwrap();
        assert_eq!(large.context_length, 32_768);
        // The cache gets what is left.
        let small = on_gpu(2000 * MIB, &auto).unwrap();
        assert_eq!(small.context_length, 8192);
        assert!(small.total_bytes <= 1900 * MIB);
        let lower = LoadOptions {
            memory_bytes: Some(large.total_bytes - 1),
            ..auto
        };
        assert!(on_gpu(16_000 * MIB, &lower).unwrap().context_length < 32_768);
    }

    #[test]
    fn model_that_is_too_large_for_a_gpu_is_rejected_with_numbers() {
        let long = LoadOptions {
            context_length: Some(32_768),
            memory_bytes: Some(32_000 * MIB),
            ..LoadOptions::default()
        };
        let error = on_gpu(2000 * MIB, &long).unwrap_err().to_string();
        for part in ["32768 tokens", "1000 MiB weights", "1900 MiB", "2000 MiB"] {
            assert!(error.contains(part), "{error}");
        }
        // The limit of the options is lower, so the GPU is not the reason.
        let lower = LoadOptions {
            memory_bytes: Some(1500 * MIB),
            ..long
        };
        let error = on_gpu(2000 * MIB, &lower).unwrap_err().to_string();
        assert!(
            error.contains("1500 MiB") && !error.contains("GPU"),
            "{error}"
        );
    }
}

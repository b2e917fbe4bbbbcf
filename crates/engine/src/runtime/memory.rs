//! The memory plan. It is made before anything is loaded, and requests never exceed it.

use mlxm_kernels::KvCacheDtype;
use mlxm_kvcache::{BlockPool, GroupConfig, GroupKind, PoolConfig};

use super::machine_memory::MachineMemory;
use crate::error::LoadError;
use crate::forward::{CacheGroupPlan, CacheLayer, Dimensions};
use crate::options::{BLOCK_SIZE, LoadOptions};

/// The longest context that is tried by default if the model's maximum does not fit. Shorter ones are half of the one before.
const LONGEST_FALLBACK: usize = 65_536;

/// The shortest context that is tried by default.
const MIN_CONTEXT_LENGTH: usize = 256;

/// The default context length if none fits: with it the error states how much memory is missing for ordinary use.
const UNFITTING_CONTEXT_LENGTH: usize = 8192;

/// Estimate of what a process needs in addition to weights, cache and activations: code, tokenizer, allocator overhead.
const FIXED_BYTES: u64 = 32 << 20;

/// The memory a loaded model takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Size of the weight files.
    pub weights_bytes: u64,
    /// How keys and values are stored.
    pub kv_cache_dtype: KvCacheDtype,
    /// Keys and values of one token in all layers, as long as the token is within every sliding window.
    pub kv_bytes_per_token: u64,
    /// The whole pool of cache blocks.
    pub kv_pool_bytes: u64,
    /// Activations of the largest step and fixed overhead of the process.
    pub scratch_bytes: u64,
    /// The sum.
    pub total_bytes: u64,
    /// Most tokens of a sequence, prompt and completion together.
    pub context_length: usize,
    /// Sequences that run at the same time.
    pub max_sequences: usize,
    /// Most tokens of one forward pass.
    pub max_batch_tokens: usize,
    /// Tokens per block.
    pub block_size: usize,
    /// The cache groups of the pool.
    pub groups: Vec<CacheGroupPlan>,
}

/// A size of the KV cache that a model can be loaded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSize {
    /// Most tokens of a sequence: [`LoadOptions::context_length`].
    pub context_length: usize,
    /// Tokens of the pool: [`LoadOptions::kv_pool_tokens`].
    pub kv_pool_tokens: usize,
    /// The plan with this size: weights, cache and scratch together.
    pub total_bytes: u64,
}

impl MemoryPlan {
    /// Plans the memory of a model. The context length is limited by `max_position_embeddings`, or by `rope_scaled_context`
    /// if that is longer and the caller requests a context length.
    ///
    /// # Errors
    /// When an option is out of range, or the plan exceeds the memory limit.
    pub fn new(
        layers: &[CacheLayer],
        sizes: &Dimensions,
        rope_scaled_context: Option<usize>,
        weights_bytes: u64,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        for (name, value) in [
            ("max_sequences", options.max_sequences),
            ("max_batch_tokens", options.max_batch_tokens),
        ] {
            if value == 0 {
                return Err(LoadError::InvalidOption(format!(
                    "{name} must be at least 1"
                )));
            }
        }
        let trained = sizes.max_position_embeddings.unwrap_or(usize::MAX);
        let supported = rope_scaled_context.unwrap_or(trained).max(trained);
        let budget = options
            .memory_bytes
            .or_else(|| MachineMemory::read().map(MachineMemory::model_budget_bytes));
        let plan = |context, pool_tokens| {
            let options = LoadOptions {
                kv_pool_tokens: Some(pool_tokens),
                ..options.clone()
            };
            Self::for_context(layers, sizes, weights_bytes, &options, context)
        };
        let pool_tokens = options.kv_pool_tokens.unwrap_or(usize::MAX);
        let context = match options.context_length {
            Some(0 | 1) => {
                return Err(LoadError::InvalidOption(
                    "the context must hold at least 2 tokens".into(),
                ));
            }
            Some(context) if context > supported => {
                return Err(LoadError::InvalidOption(format!(
                    "a context of {context} tokens exceeds the {supported} that the model supports"
                )));
            }
            Some(context) if context > pool_tokens => {
                return Err(LoadError::InvalidOption(format!(
                    "the KV pool holds {pool_tokens} tokens, less than the context of {context}: enlarge the pool or choose a shorter context"
                )));
            }
            Some(context) => context,
            None if trained.min(pool_tokens) < 2 => {
                return Err(LoadError::InvalidOption(
                    "the KV pool must hold at least 2 tokens".into(),
                ));
            }
            None => default_context_length(trained.min(pool_tokens), |context| {
                // A pool is never smaller than one context.
                let needed = plan(context, options.kv_pool_tokens.unwrap_or(0)).total_bytes;
                budget.is_none_or(|budget| needed <= budget)
            }),
        };
        let pool_tokens = options.kv_pool_tokens.unwrap_or_else(|| {
            let contexts = context
                .saturating_add(BLOCK_SIZE - 1)
                .saturating_mul(options.max_sequences);
            let fitting = budget.map_or(contexts, |budget| {
                largest_context(budget, |tokens| plan(context, tokens).total_bytes)
            });
            fitting.clamp(context, contexts)
        });
        let plan = plan(context, pool_tokens);
        match options.memory_bytes {
            Some(memory) if plan.total_bytes > memory => {
                Err(plan.does_not_fit(options, layers, sizes))
            }
            _ => Ok(plan),
        }
    }

    fn for_context(
        layers: &[CacheLayer],
        sizes: &Dimensions,
        weights_bytes: u64,
        options: &LoadOptions,
        context_length: usize,
    ) -> Self {
        let kv_cache_dtype = options.kv_cache_dtype();
        let mut groups: Vec<CacheGroupPlan> = Vec::new();
        for layer in layers {
            let block_bytes = layer.bytes_per_token(kv_cache_dtype) * BLOCK_SIZE as u64;
            match groups.iter_mut().find(|group| group.kind == layer.kind) {
                Some(group) => {
                    group.layers += 1;
                    group.block_bytes += block_bytes;
                }
                None => groups.push(CacheGroupPlan {
                    kind: layer.kind,
                    layers: 1,
                    blocks: blocks(layer.kind, context_length, options),
                    block_bytes,
                }),
            }
        }
        // Saturates for the absurd context lengths of some configurations, which do not fit anyway.
        let kv_pool_bytes = groups
            .iter()
            .map(|group| (group.blocks as u64).saturating_mul(group.block_bytes))
            .fold(0, u64::saturating_add);
        let scratch_bytes = scratch_bytes(sizes, options);
        Self {
            weights_bytes,
            kv_cache_dtype,
            kv_bytes_per_token: layers
                .iter()
                .map(|layer| layer.bytes_per_token(kv_cache_dtype))
                .sum(),
            kv_pool_bytes,
            scratch_bytes,
            total_bytes: weights_bytes
                .saturating_add(scratch_bytes)
                .saturating_add(kv_pool_bytes),
            context_length,
            max_sequences: options.max_sequences,
            max_batch_tokens: options.max_batch_tokens,
            block_size: BLOCK_SIZE,
            groups,
        }
    }

    fn does_not_fit(
        &self,
        options: &LoadOptions,
        layers: &[CacheLayer],
        sizes: &Dimensions,
    ) -> LoadError {
        let memory = options.memory_bytes.unwrap_or_default();
        // With a pool for one sequence, unless the options state its size.
        let unlimited = LoadOptions {
            memory_bytes: None,
            kv_pool_tokens: options.kv_pool_tokens.or(Some(0)),
            ..options.clone()
        };
        let largest = largest_context(memory, |context| {
            Self::for_context(layers, sizes, self.weights_bytes, &unlimited, context).total_bytes
        });
        let hint = if largest >= MIN_CONTEXT_LENGTH {
            format!("a context of {largest} tokens would fit")
        } else {
            "use a smaller model or one with fewer bits per weight".into()
        };
        LoadError::Memory(format!(
            "this model with a context of {} tokens needs {} ({} weights, {} KV cache, {} scratch), but the limit is {}; {hint}",
            self.context_length,
            mebibytes(self.total_bytes),
            mebibytes(self.weights_bytes),
            mebibytes(self.kv_pool_bytes),
            mebibytes(self.scratch_bytes),
            mebibytes(memory),
        ))
    }

    /// The longest context of a single sequence that fits in `memory_bytes`, weights and scratch included; 0 if none.
    pub fn largest_context(&self, memory_bytes: u64) -> usize {
        largest_context(memory_bytes, |context| {
            let fixed = self.weights_bytes.saturating_add(self.scratch_bytes);
            self.groups
                .iter()
                .map(|group| {
                    let blocks = group.kind.max_blocks_per_sequence(
                        context,
                        self.max_batch_tokens,
                        self.block_size,
                    );
                    (blocks as u64).saturating_mul(group.block_bytes)
                })
                .fold(fixed, u64::saturating_add)
        })
    }

    /// Sizes of the cache to choose from when several models share the memory, in order of preference: each default context
    /// length from `max_position_embeddings` to 8k tokens, first with a pool of two contexts if there can be several sequences.
    /// Values that `options` state are not varied.
    pub fn cache_sizes(
        &self,
        max_position_embeddings: Option<usize>,
        options: &LoadOptions,
    ) -> Vec<CacheSize> {
        let contexts = if options.context_length.is_some() {
            vec![self.context_length]
        } else {
            let trained = max_position_embeddings.unwrap_or(usize::MAX);
            let maximum = trained.min(options.kv_pool_tokens.unwrap_or(usize::MAX));
            let shortest = maximum.min(UNFITTING_CONTEXT_LENGTH);
            context_candidates(maximum)
                .filter(|context| *context >= shortest)
                .collect()
        };
        let mut sizes = Vec::new();
        for context_length in contexts {
            let pools = match options.kv_pool_tokens {
                Some(tokens) => vec![tokens],
                None if self.max_sequences > 1 => {
                    vec![context_length.saturating_mul(2), context_length]
                }
                None => vec![context_length],
            };
            sizes.extend(pools.into_iter().map(|kv_pool_tokens| CacheSize {
                context_length,
                kv_pool_tokens,
                total_bytes: self.total_bytes_with(context_length, kv_pool_tokens),
            }));
        }
        sizes
    }

    /// The sum for another size of the cache.
    fn total_bytes_with(&self, context_length: usize, kv_pool_tokens: usize) -> u64 {
        let options = LoadOptions {
            max_sequences: self.max_sequences,
            max_batch_tokens: self.max_batch_tokens,
            kv_pool_tokens: Some(kv_pool_tokens),
            ..LoadOptions::default()
        };
        self.groups
            .iter()
            .map(|group| {
                let blocks = blocks(group.kind, context_length, &options) as u64;
                blocks.saturating_mul(group.block_bytes)
            })
            .fold(self.weights_bytes + self.scratch_bytes, u64::saturating_add)
    }

    /// Activations of the largest step: the planned scratch memory without the overhead of the process.
    pub(super) fn activation_bytes(&self) -> usize {
        let bytes = self.scratch_bytes.saturating_sub(FIXED_BYTES);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Creates the block pool.
    ///
    /// # Errors
    /// When a group has more blocks than block ids.
    pub(super) fn block_pool(&self) -> Result<BlockPool, LoadError> {
        let groups = self
            .groups
            .iter()
            .map(|group| GroupConfig {
                kind: group.kind,
                blocks: group.blocks,
            })
            .collect();
        BlockPool::new(PoolConfig {
            block_size: self.block_size,
            groups,
        })
        .map_err(|error| LoadError::InvalidOption(error.to_string()))
    }
}

/// Blocks of a group: enough for `max_sequences` full contexts or for `kv_pool_tokens`, whichever is less, but at least for
/// one sequence.
fn blocks(kind: GroupKind, context_length: usize, options: &LoadOptions) -> usize {
    let per_sequence =
        kind.max_blocks_per_sequence(context_length, options.max_batch_tokens, BLOCK_SIZE);
    let all = per_sequence.saturating_mul(options.max_sequences);
    let pool_tokens = options.kv_pool_tokens.unwrap_or(usize::MAX);
    all.min(pool_tokens.div_ceil(BLOCK_SIZE).max(per_sequence))
}

/// Default context lengths: `maximum`, 64k, 32k, 16k, 8k, and the next smaller powers of two.
fn context_candidates(maximum: usize) -> impl Iterator<Item = usize> {
    let shorter = std::iter::successors(Some(LONGEST_FALLBACK), |length| Some(length / 2))
        .take_while(|length| *length >= MIN_CONTEXT_LENGTH)
        .skip_while(move |length| *length >= maximum);
    // Without a maximum, there is no reason to plan for more.
    let longest = (maximum < usize::MAX).then_some(maximum);
    longest.into_iter().chain(shorter)
}

/// The first of these that fits.
fn default_context_length(maximum: usize, fits: impl Fn(usize) -> bool) -> usize {
    context_candidates(maximum)
        .find(|length| fits(*length))
        .unwrap_or(maximum.min(UNFITTING_CONTEXT_LENGTH))
}

/// Estimate of the activations of a step, in f32: per token a few rows of each width, and two rows of logits per sequence.
fn scratch_bytes(sizes: &Dimensions, options: &LoadOptions) -> u64 {
    let width = 6 * sizes.hidden_size + 3 * sizes.intermediate_size + 2 * sizes.attention.q_width();
    // The sizes are checked, but the options can be any number.
    let activations = (options.max_batch_tokens as u64).saturating_mul(width as u64);
    let logits = (options.max_sequences as u64).saturating_mul(2 * sizes.vocab_size as u64);
    activations
        .saturating_add(logits)
        .saturating_mul(size_of::<f32>() as u64)
        .saturating_add(FIXED_BYTES)
}

/// The longest context whose total is at most `memory_bytes`, by bisection.
fn largest_context(memory_bytes: u64, total: impl Fn(usize) -> u64) -> usize {
    let (mut fits, mut too_long) = (0, 1 << 30);
    while too_long - fits > 1 {
        let middle = fits + (too_long - fits) / 2;
        if total(middle) <= memory_bytes {
            fits = middle;
        } else {
            too_long = middle;
        }
    }
    fits
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_context_is_the_largest_candidate_that_fits() {
        for (maximum, fitting, expected) in [
            (131_072, 200_000, 131_072),
            (131_072, 131_071, 65_536),
            (131_072, 40_000, 32_768),
            (131_072, 20_000, 16_384),
            (131_072, 16_383, 8192),
            (131_072, 5000, 4096),
            (40_960, 40_960, 40_960),
            (40_960, 40_000, 32_768),
            (8192, 1 << 20, 8192),
            (2048, 2047, 1024),
            (100, 100, 100),
            // Nothing fits.
            (131_072, 100, 8192),
            (300, 100, 300),
            // The model states no maximum.
            (usize::MAX, usize::MAX, 65_536),
            (usize::MAX, 50_000, 32_768),
        ] {
            let length = default_context_length(maximum, |length| length <= fitting);
            assert_eq!(length, expected, "{maximum} {fitting}");
        }
    }
}

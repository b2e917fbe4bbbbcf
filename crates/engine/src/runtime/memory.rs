//! Where every byte goes: decided before anything is loaded, and never exceeded by traffic.

use mlxm_kernels::KvCacheDtype;
use mlxm_kvcache::{BlockPool, GroupConfig, GroupKind, PoolConfig};

use crate::error::LoadError;
use crate::forward::{CacheGroupPlan, CacheLayer, Dimensions};
use crate::options::{BLOCK_SIZE, DEFAULT_CONTEXT_LENGTH, LoadOptions};

/// The shortest context worth loading a model for, when the memory given forces a short one.
const SHORTEST_CONTEXT: usize = 256;

/// Code, tokenizer and the allocator's own: what a process takes besides weights, cache and activations.
const FIXED_BYTES: u64 = 32 << 20;

/// The memory a loaded model takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Weights, as they are in the files.
    pub weights_bytes: u64,
    /// How keys and values are stored.
    pub kv_cache_dtype: KvCacheDtype,
    /// Keys and values of one token in all layers, while it is in_flight every window.
    pub kv_bytes_per_token: u64,
    /// The whole pool of cache blocks.
    pub kv_pool_bytes: u64,
    /// Activations of the largest step, and what the process needs besides.
    pub scratch_bytes: u64,
    /// The sum.
    pub total_bytes: u64,
    /// The longest sequence, in tokens.
    pub context_length: usize,
    /// Sequences that run at the same time.
    pub max_sequences: usize,
    /// Most rows of one forward pass.
    pub max_batch_tokens: usize,
    /// Tokens per block.
    pub block_size: usize,
    /// The pool, by kind of layer.
    pub groups: Vec<CacheGroupPlan>,
}

impl MemoryPlan {
    /// Plans for a model. A context is at most what it was made for, or, if its rotation can be stretched further,
    /// `stretched` tokens; only a caller that asks gets more than it was made for.
    ///
    /// # Errors
    /// When an option is out of range, or the plan does not fit the memory given.
    pub fn new(
        layers: &[CacheLayer],
        sizes: &Dimensions,
        stretched: Option<usize>,
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
        let longest = stretched.unwrap_or(trained).max(trained);
        let plan = |context| Self::for_context(layers, sizes, weights_bytes, options, context);
        let fits = |plan: &Self| {
            options
                .memory_bytes
                .is_none_or(|memory| plan.total_bytes <= memory)
        };
        let held = options.kv_pool_tokens.unwrap_or(usize::MAX);
        match options.context_length {
            Some(0 | 1) => Err(LoadError::InvalidOption(
                "the context must hold at least 2 tokens".into(),
            )),
            Some(context) if context > longest => Err(LoadError::InvalidOption(format!(
                "a context of {context} tokens is beyond the {longest} the model was made for"
            ))),
            Some(context) if context > held => Err(LoadError::InvalidOption(format!(
                "the KV pool holds {held} tokens, less than the context of {context}; give the pool more or choose a shorter context"
            ))),
            Some(context) => {
                let plan = plan(context);
                if fits(&plan) {
                    Ok(plan)
                } else {
                    Err(plan.does_not_fit(options, layers, sizes))
                }
            }
            None => {
                let mut context = trained.min(DEFAULT_CONTEXT_LENGTH).min(held);
                if context < 2 {
                    return Err(LoadError::InvalidOption(
                        "the KV pool must hold at least 2 tokens".into(),
                    ));
                }
                while !fits(&plan(context)) && context > SHORTEST_CONTEXT {
                    context /= 2;
                }
                let plan = plan(context);
                if fits(&plan) {
                    Ok(plan)
                } else {
                    Err(plan.does_not_fit(options, layers, sizes))
                }
            }
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
        let kv_pool_bytes = groups
            .iter()
            .map(|group| group.blocks as u64 * group.block_bytes)
            .sum();
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
            total_bytes: weights_bytes + kv_pool_bytes + scratch_bytes,
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
        let free = LoadOptions {
            memory_bytes: None,
            ..options.clone()
        };
        let largest = largest_context(memory, |context| {
            Self::for_context(layers, sizes, self.weights_bytes, &free, context).total_bytes
        });
        let advice = if largest >= SHORTEST_CONTEXT {
            format!("a context of {largest} tokens would fit")
        } else {
            "use a smaller model or one with fewer bits".into()
        };
        LoadError::Memory(format!(
            "this model with a context of {} tokens needs {} ({} weights, {} KV cache, {} scratch), but only {} may be used; {advice}",
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
            let pool: u64 = self
                .groups
                .iter()
                .map(|group| {
                    group.kind.max_blocks_per_sequence(
                        context,
                        self.max_batch_tokens,
                        self.block_size,
                    ) as u64
                        * group.block_bytes
                })
                .sum();
            self.weights_bytes + self.scratch_bytes + pool
        })
    }

    /// The bookkeeping of the planned blocks.
    ///
    /// # Errors
    /// When there are more blocks than can be numbered.
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

/// Blocks of a group: for `max_sequences` full contexts, or for the tokens that the pool is to hold.
fn blocks(kind: GroupKind, context_length: usize, options: &LoadOptions) -> usize {
    let each = kind.max_blocks_per_sequence(context_length, options.max_batch_tokens, BLOCK_SIZE);
    let all = each * options.max_sequences;
    let held = options.kv_pool_tokens.unwrap_or(usize::MAX);
    // No group holds more of a sequence than its tokens. A sequence alone has all it needs in any case.
    all.min(held.div_ceil(BLOCK_SIZE).max(each))
}

/// Rows of a step live as f32: a few of the model's width, three of the feed-forward's, and the logits of the rows that
/// are sampled or scored.
fn scratch_bytes(sizes: &Dimensions, options: &LoadOptions) -> u64 {
    let width = 6 * sizes.hidden_size + 3 * sizes.intermediate_size + 2 * sizes.attention.q_width();
    let rows = options.max_batch_tokens * width + options.max_sequences * 2 * sizes.vocab_size;
    (rows * size_of::<f32>()) as u64 + FIXED_BYTES
}

/// Bisects for the longest context whose total stays within `memory_bytes`.
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

fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / (1 << 20) as f64)
}

/// Largest resident memory of this process so far, in bytes; 0 where the system does not say.
pub fn peak_resident_bytes() -> u64 {
    // SAFETY: an all-zero rusage is valid, and the call only writes to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) != 0 {
            return 0;
        }
        usage
    };
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or_default();
    // Linux counts kibibytes, macOS bytes.
    if cfg!(target_os = "macos") {
        peak
    } else {
        peak * 1024
    }
}

//! The architectures. One file each, named after its `model_type`: configuration, then the forward pass.
//!
//! A model file says nothing about devices or quantization, owns no cache and does not sample.
//! `docs/add-a-model.md` shows how to add one.

mod gemma;
mod gemma2;
mod gemma3;
mod gemma3_text;
mod granite;
mod llama;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod smollm3;
mod starcoder2;

use std::fmt::Debug;

use candle_core::Tensor;
use mlxm_kernels::{KernelError, Kernels};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::checkpoint::{CheckpointConfig, Scope, Weights};
use crate::error::LoadError;
use crate::nn::AttentionDims;
use crate::runtime::{CacheLayer, Step};

/// A decoder that turns tokens into hidden rows, and hidden rows into logits.
pub trait Model: Send {
    /// Hidden rows `[T, hidden]` after the final norm. The step carries tokens, positions and the cache.
    ///
    /// # Errors
    /// When a kernel refuses its input.
    fn forward(&self, step: &mut Step<'_>) -> Result<Tensor, KernelError>;

    /// Logits `[rows, vocab]` of hidden rows.
    ///
    /// # Errors
    /// When a kernel refuses its input.
    fn logits(&self, rows: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError>;
}

/// Sizes of a model.
#[derive(Debug, Clone, Copy)]
pub struct Dimensions {
    /// Entries of a logits row.
    pub vocab_size: usize,
    /// Width of a hidden row.
    pub hidden_size: usize,
    /// Widest row in_flight a feed-forward block.
    pub intermediate_size: usize,
    /// AttentionDims of an attention layer.
    pub heads: AttentionDims,
    /// The longest context the model was made for.
    pub max_position_embeddings: Option<usize>,
}

/// The configuration of an architecture: everything about a model that is known before its weights are read.
pub trait ModelConfig: Debug {
    /// Sizes.
    fn dimensions(&self) -> Dimensions;

    /// What each layer keeps in the cache, in layer order.
    fn cache_layers(&self) -> Vec<CacheLayer>;

    /// Checks what neither the types nor the sizes say.
    ///
    /// # Errors
    /// A message that names the field.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Renames and drops tensors of unconverted or older checkpoints.
    fn sanitize(&self, weights: &mut Weights);

    /// Builds the model.
    ///
    /// # Errors
    /// When a tensor does not fit.
    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError>;
}

type ReadConfig = fn(&CheckpointConfig) -> Result<Box<dyn ModelConfig>, LoadError>;

/// Architectures by `model_type`.
const MODELS: &[(&str, ReadConfig)] = &[
    ("gemma", read::<gemma::Config>),
    ("gemma2", read::<gemma2::Config>),
    ("gemma3", read::<gemma3::Config>),
    ("gemma3_text", read::<gemma3_text::Config>),
    ("granite", read::<granite::Config>),
    ("llama", read::<llama::Config>),
    ("olmo2", read::<olmo2::Config>),
    ("phi3", read::<phi3::Config>),
    ("qwen2", read::<qwen2::Config>),
    ("qwen3", read::<qwen3::Config>),
    ("smollm3", read::<smollm3::Config>),
    ("starcoder2", read::<starcoder2::Config>),
];

/// Names under which other projects publish an architecture of ours.
const MODEL_TYPE_ALIASES: &[(&str, &str)] = &[
    ("mistral", "llama"),
    ("iquestcoder", "llama"),
    ("xverse", "llama"),
];

/// All `model_type`s that load, sorted.
pub fn supported() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = MODELS
        .iter()
        .map(|(name, _)| *name)
        .chain(MODEL_TYPE_ALIASES.iter().map(|(name, _)| *name))
        .collect();
    names.sort_unstable();
    names
}

/// Finds the architecture of a checkpoint and reads its configuration. Returns the architecture's own name with it.
///
/// # Errors
/// When the `model_type` is not supported or the configuration is invalid.
pub fn read_model_config(
    config: &CheckpointConfig,
) -> Result<(&'static str, Box<dyn ModelConfig>), LoadError> {
    let model_type = config.model_type.as_str();
    let name = MODEL_TYPE_ALIASES
        .iter()
        .find(|(from, _)| *from == model_type)
        .map_or(model_type, |(_, to)| *to);
    let Some((name, read)) = MODELS.iter().find(|(known, _)| *known == name) else {
        return Err(LoadError::UnsupportedArchitecture {
            model_type: model_type.into(),
            supported: supported(),
        });
    };
    Ok((*name, read(config)?))
}

fn read<C: ModelConfig + DeserializeOwned + 'static>(
    config: &CheckpointConfig,
) -> Result<Box<dyn ModelConfig>, LoadError> {
    let invalid = |problem: String| LoadError::InvalidConfig {
        path: config.file(),
        problem,
    };
    let parsed: C = serde_json::from_value(Value::Object(config.values.clone()))
        .map_err(|error| invalid(error.to_string()))?;
    parsed
        .check()
        .and_then(|()| check_sizes(&parsed))
        .map_err(invalid)?;
    Ok(Box::new(parsed))
}

fn check_sizes(config: &dyn ModelConfig) -> Result<(), String> {
    let sizes = config.dimensions();
    let positive = [
        ("vocab_size", sizes.vocab_size),
        ("hidden_size", sizes.hidden_size),
        ("intermediate_size", sizes.intermediate_size),
        ("num_attention_heads", sizes.heads.heads),
        ("num_key_value_heads", sizes.heads.kv_heads),
        ("head_dim", sizes.heads.head_dim),
    ];
    if let Some((name, _)) = positive.iter().find(|(_, size)| *size == 0) {
        return Err(format!("`{name}` must be positive"));
    }
    if !sizes.heads.heads.is_multiple_of(sizes.heads.kv_heads) {
        return Err(format!(
            "`num_attention_heads` ({}) must be a multiple of `num_key_value_heads` ({})",
            sizes.heads.heads, sizes.heads.kv_heads
        ));
    }
    if config.cache_layers().is_empty() {
        return Err("`num_hidden_layers` must be positive".into());
    }
    Ok(())
}

/// Drops the precomputed rotary frequencies of old exports, and the output head of models that tie it.
fn drop_unused(weights: &mut Weights, tied: bool) {
    weights.retain(|name| !name.contains("self_attn.rotary_emb.inv_freq"));
    if tied {
        weights.remove("lm_head.weight");
    }
}

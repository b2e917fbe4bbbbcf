//! What a checkpoint is, read from its metadata: [`ModelInfo`].

use std::path::PathBuf;

use mlxm_kernels::QuantSpec;
use mlxm_kvcache::GroupKind;

use crate::checkpoint::CheckpointConfig;
use crate::forward::CacheLayer;
use crate::forward::Dimensions;

/// Characteristics of a checkpoint.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    /// The folder.
    pub path: PathBuf,
    /// `model_type` of the config, before renames.
    pub model_type: String,
    /// The architecture that runs it (the name of a file in `models/`).
    pub architecture: &'static str,
    /// Number of parameters, packed ones counted whole.
    pub parameters: u64,
    /// Bytes of the weight files.
    pub size_bytes: u64,
    /// Quantization of most of the weights, if any.
    pub quantization: Option<QuantSpec>,
    /// Average bits per parameter, scales and biases included.
    pub bits_per_weight: f64,
    /// Entries of a logits row.
    pub vocab_size: usize,
    /// Width of a hidden row.
    pub hidden_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub attention_heads: usize,
    /// Key and value heads.
    pub key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Window of the sliding-window layers, if any.
    pub sliding_window: Option<usize>,
    /// The longest context the model was made for, in tokens.
    pub max_position_embeddings: Option<usize>,
    /// Ids that end an answer: the configuration's and the tokenizer's own.
    pub eos_token_ids: Vec<u32>,
}

/// What is known about a checkpoint once its metadata is read.
pub(crate) struct ModelMetadata<'a> {
    pub(crate) config: &'a CheckpointConfig,
    pub(crate) architecture: &'static str,
    pub(crate) sizes: &'a Dimensions,
    pub(crate) cache_layers: &'a [CacheLayer],
    pub(crate) quantization: Option<QuantSpec>,
    pub(crate) eos_token_ids: Vec<u32>,
    pub(crate) parameters: u64,
    pub(crate) size_bytes: u64,
}

impl ModelInfo {
    pub(crate) fn new(recorded: ModelMetadata<'_>) -> Self {
        let ModelMetadata {
            config,
            sizes,
            cache_layers,
            parameters,
            size_bytes,
            ..
        } = recorded;
        let window = |layer: &CacheLayer| match layer.kind {
            GroupKind::SlidingWindow { window } => Some(window),
            _ => None,
        };
        Self {
            path: config.folder.clone(),
            model_type: config.model_type.clone(),
            architecture: recorded.architecture,
            parameters,
            size_bytes,
            quantization: recorded.quantization,
            bits_per_weight: if parameters == 0 {
                0.0
            } else {
                size_bytes as f64 * 8.0 / parameters as f64
            },
            vocab_size: sizes.vocab_size,
            hidden_size: sizes.hidden_size,
            layers: cache_layers.len(),
            attention_heads: sizes.attention.heads,
            key_value_heads: sizes.attention.kv_heads,
            head_dim: sizes.attention.head_dim,
            sliding_window: cache_layers.iter().find_map(window),
            max_position_embeddings: sizes.max_position_embeddings,
            eos_token_ids: recorded.eos_token_ids,
        }
    }
}

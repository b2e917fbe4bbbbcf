//! Characteristics of a checkpoint: [`ModelInfo`].

use std::path::PathBuf;

use mlxm_kernels::QuantSpec;
use mlxm_kvcache::GroupKind;

use crate::checkpoint::{CheckpointConfig, LoadedParameters};
use crate::forward::{CacheLayer, Dimensions};

/// Characteristics of a checkpoint.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    /// The folder.
    pub path: PathBuf,
    /// `model_type` of the config, before aliases are resolved.
    pub model_type: String,
    /// The architecture: the name of a file in `models/`.
    pub architecture: &'static str,
    /// Number of parameters. A quantized weight counts its elements, not its packed words.
    pub parameters: u64,
    /// Bytes of the weight files.
    pub size_bytes: u64,
    /// The default quantization of the checkpoint, if any. Individual weights may differ.
    pub quantization: Option<QuantSpec>,
    /// Number of parameters in weights by quantization, the largest number first. `None` is not quantized. Norms and biases are
    /// not counted.
    pub parameters_by_quantization: Vec<(Option<QuantSpec>, u64)>,
    /// Average bits per parameter, quantization scales and biases included.
    pub bits_per_weight: f64,
    /// Width of a row of logits.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub attention_heads: usize,
    /// Key and value heads.
    pub key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Whether the checkpoint is that of a model that reads images as well, of which only the text model is loaded.
    pub ignores_images: bool,
    /// Window of the sliding-window layers, if any.
    pub sliding_window: Option<usize>,
    /// Context length that the model was trained for, in tokens.
    pub max_position_embeddings: Option<usize>,
    /// End-of-sequence token ids, from the configuration and the tokenizer.
    pub eos_token_ids: Vec<u32>,
}

/// The sources of a [`ModelInfo`].
pub(crate) struct ModelMetadata<'a> {
    pub(crate) config: &'a CheckpointConfig,
    pub(crate) architecture: &'static str,
    pub(crate) dimensions: &'a Dimensions,
    pub(crate) cache_layers: &'a [CacheLayer],
    pub(crate) ignores_images: bool,
    pub(crate) quantization: Option<QuantSpec>,
    pub(crate) eos_token_ids: Vec<u32>,
    pub(crate) parameters: LoadedParameters,
    pub(crate) size_bytes: u64,
}

impl ModelInfo {
    pub(crate) fn new(metadata: ModelMetadata<'_>) -> Self {
        let ModelMetadata {
            config,
            dimensions,
            cache_layers,
            parameters,
            size_bytes,
            ..
        } = metadata;
        let mut parameters_by_quantization = parameters.weights;
        parameters_by_quantization.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let parameters = parameters.total;
        let window = |layer: &CacheLayer| match layer.kind {
            GroupKind::SlidingWindow { window } => Some(window),
            _ => None,
        };
        Self {
            path: config.folder.clone(),
            model_type: config.model_type.clone(),
            architecture: metadata.architecture,
            parameters,
            size_bytes,
            quantization: metadata.quantization,
            parameters_by_quantization,
            bits_per_weight: if parameters == 0 {
                0.0
            } else {
                size_bytes as f64 * 8.0 / parameters as f64
            },
            vocab_size: dimensions.vocab_size,
            hidden_size: dimensions.hidden_size,
            layers: dimensions.num_hidden_layers,
            attention_heads: dimensions.attention.heads,
            key_value_heads: dimensions.attention.kv_heads,
            head_dim: dimensions.attention.head_dim,
            ignores_images: metadata.ignores_images,
            sliding_window: cache_layers.iter().find_map(window),
            max_position_embeddings: dimensions.max_position_embeddings,
            eos_token_ids: metadata.eos_token_ids,
        }
    }
}

//! The traits that a model implements: [`ModelConfig`], parsed from `config.json`, and [`Model`], built from it.

use std::fmt::Debug;

use mlxm_kernels::{AttentionSpec, KernelError, Pass, Rows};
use mlxm_kvcache::GroupKind;

use super::{CacheLayer, Step};
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;

// Larger sizes are errors in a configuration. The limits are far above the sizes of any model, and low enough that the memory
// plan neither overflows nor takes noticeable time.
const MAX_LAYERS: usize = 1 << 12;
const MAX_HEADS: usize = 1 << 14;
const MAX_HEAD_DIM: usize = 1 << 14;
const MAX_WIDTH: usize = 1 << 22;
const MAX_VOCAB_SIZE: usize = 1 << 26;

/// Elements in a packed word of the narrowest quantization, 2 bits.
const MAX_PACKED: usize = 16;

/// A decoder-only language model.
pub trait Model: Send {
    /// Hidden states `[T, hidden]` after the final norm of the tokens in `step`.
    ///
    /// # Errors
    /// When a kernel rejects its input.
    fn forward(&self, step: &mut Step<'_>) -> Result<Rows, KernelError>;

    /// Logits `[rows, vocab]` of hidden states `[rows, hidden]`.
    ///
    /// # Errors
    /// When a kernel rejects its input.
    fn logits(&self, rows: &Rows, pass: &mut Pass<'_>) -> Result<Rows, KernelError>;
}

/// Sizes of a model.
#[derive(Debug, Clone, Copy)]
pub struct Dimensions {
    /// Width of a row of logits.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Width of the widest activation in a feed-forward block.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Sizes of an attention layer.
    pub attention: AttentionDims,
    /// Context length that the model was trained for, in tokens.
    pub max_position_embeddings: Option<usize>,
}

/// Sizes of an attention layer.
#[derive(Debug, Clone, Copy)]
pub struct AttentionDims {
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl AttentionDims {
    /// Full attention with scores scaled by `1 / sqrt(head_dim)`.
    pub fn spec(&self) -> AttentionSpec {
        AttentionSpec {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            value_dim: self.head_dim,
            scale: (self.head_dim as f32).powf(-0.5),
            softcap: None,
            window: None,
            sinks: None,
        }
    }

    /// Width of all query heads of a token.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads of a token, and of all value heads.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// The configuration of a model.
pub trait ModelConfig: Debug {
    /// Sizes.
    fn dimensions(&self) -> Dimensions;

    /// The sliding window of `layer` in tokens; `None` for full attention.
    fn sliding_window(&self, _layer: usize) -> Option<usize> {
        None
    }

    /// What each layer caches, in layer order.
    fn cache_layers(&self) -> Vec<CacheLayer> {
        let dimensions = self.dimensions();
        (0..dimensions.num_hidden_layers)
            .map(|layer| {
                let kind = match self.sliding_window(layer) {
                    Some(window) => GroupKind::SlidingWindow { window },
                    None => GroupKind::Full,
                };
                CacheLayer::new(kind, dimensions.attention)
            })
            .collect()
    }

    /// Whether the checkpoint is that of a model that reads images as well, of which only the text model is loaded.
    fn ignores_images(&self) -> bool {
        false
    }

    /// Checks that are specific to this model, in addition to the types and those of the sizes.
    ///
    /// # Errors
    /// A message that names the field.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The key that states a size, by the name that it has in most configurations.
    fn size_key(&self, name: &'static str) -> &'static str {
        name
    }

    /// Renames and removes tensors of unconverted or older checkpoints.
    fn sanitize(&self, weights: &mut Weights);

    /// Builds the model.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError>;
}

// Compiled once, and not for each model.
impl dyn ModelConfig + '_ {
    /// Checks the sizes.
    ///
    /// # Errors
    /// A message that names the field.
    pub fn check_dimensions(&self) -> Result<(), String> {
        let dimensions = self.dimensions();
        let attention = dimensions.attention;
        for (name, size, largest) in [
            ("vocab_size", dimensions.vocab_size, MAX_VOCAB_SIZE),
            ("hidden_size", dimensions.hidden_size, MAX_WIDTH),
            ("intermediate_size", dimensions.intermediate_size, MAX_WIDTH),
            (
                "num_hidden_layers",
                dimensions.num_hidden_layers,
                MAX_LAYERS,
            ),
            ("num_attention_heads", attention.heads, MAX_HEADS),
            ("num_key_value_heads", attention.kv_heads, MAX_HEADS),
            ("head_dim", attention.head_dim, MAX_HEAD_DIM),
        ] {
            let key = self.size_key(name);
            if size == 0 {
                return Err(format!("`{key}` must be positive"));
            }
            if size > largest {
                let default = if name == "head_dim" {
                    let (width, heads) = ("hidden_size", "num_attention_heads");
                    let (width, heads) = (self.size_key(width), self.size_key(heads));
                    format!(" (by default `{width}` / `{heads}`)")
                } else {
                    String::new()
                };
                return Err(format!(
                    "`{key}`{default} must be at most {largest}, not {size}"
                ));
            }
        }
        if !attention.heads.is_multiple_of(attention.kv_heads) {
            return Err(format!(
                "`{}` ({}) must be a multiple of `{}` ({})",
                self.size_key("num_attention_heads"),
                attention.heads,
                self.size_key("num_key_value_heads"),
                attention.kv_heads
            ));
        }
        Ok(())
    }

    /// Checks that the tensors can have the sizes, before memory is planned and layers are built. Whether each tensor has its
    /// shape is checked when it is loaded.
    ///
    /// # Errors
    /// A message that names the field.
    pub fn check_tensors(&self, weights: &Weights) -> Result<(), String> {
        let dimensions = self.dimensions();
        let (layers, tensors) = (dimensions.num_hidden_layers, weights.len());
        if layers > tensors {
            return Err(format!(
                "`{}` is {layers}, but the checkpoint has only {tensors} tensors",
                self.size_key("num_hidden_layers")
            ));
        }
        let shapes = weights.iter().flat_map(|(_, tensor)| &tensor.shape);
        let widest = shapes.max().copied().unwrap_or(0);
        let attention = dimensions.attention;
        for (names, width) in [
            (&["vocab_size"][..], dimensions.vocab_size),
            (&["hidden_size"], dimensions.hidden_size),
            (&["intermediate_size"], dimensions.intermediate_size),
            (&["num_attention_heads", "head_dim"], attention.q_width()),
            (&["num_key_value_heads", "head_dim"], attention.kv_width()),
        ] {
            if width > widest.saturating_mul(MAX_PACKED) {
                let keys = names
                    .iter()
                    .map(|name| format!("`{}`", self.size_key(name)));
                return Err(format!(
                    "{} is {width}, but no tensor of the checkpoint is that large: the longest side of one is {widest}",
                    keys.collect::<Vec<_>>().join(" × ")
                ));
            }
        }
        Ok(())
    }
}

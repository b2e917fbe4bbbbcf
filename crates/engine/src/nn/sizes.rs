//! What configurations state of a decoder: its sizes, and the norm of hidden states.

use mlxm_kernels::{Norm, QkNorms};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::qk_norms;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::{AttentionDims, Dimensions};

/// The sizes that most `config.json` files state, with these names and without defaults.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct DecoderConfig {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Width of the activations in a feed-forward block.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
}

impl DecoderConfig {
    /// Sizes that a configuration states under other names, in the order of the fields.
    pub fn new(
        vocab_size: usize,
        hidden_size: usize,
        intermediate_size: usize,
        num_hidden_layers: usize,
        num_attention_heads: usize,
    ) -> Self {
        Self {
            vocab_size,
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
        }
    }

    /// With the key and value heads, the width of a head and the epsilon of the RMS norms.
    pub fn grouped(
        self,
        num_key_value_heads: impl Into<Option<usize>>,
        head_dim: impl Into<Option<usize>>,
        rms_norm_eps: f64,
    ) -> GroupedConfig<Option<usize>, Option<usize>> {
        GroupedConfig {
            decoder: self,
            num_key_value_heads: num_key_value_heads.into(),
            head_dim: head_dim.into(),
            rms_norm_eps,
        }
    }

    /// Sizes of the model. By default, there are as many key and value heads as query heads, and the width of a head is
    /// `hidden_size / num_attention_heads`.
    pub fn dimensions(
        &self,
        num_key_value_heads: impl Into<Option<usize>>,
        head_dim: impl Into<Option<usize>>,
        max_position_embeddings: impl Into<Option<usize>>,
    ) -> Dimensions {
        let heads = self.num_attention_heads;
        let (kv_heads, head_dim) = (num_key_value_heads.into(), head_dim.into());
        Dimensions {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            attention: AttentionDims {
                hidden_size: self.hidden_size,
                heads,
                kv_heads: kv_heads.unwrap_or(heads),
                head_dim: head_dim.unwrap_or(self.hidden_size / heads.max(1)),
            },
            max_position_embeddings: max_position_embeddings.into(),
        }
    }
}

/// The sizes and the epsilon that the configurations of most models like Llama state, with these names and without defaults.
///
/// `K` and `D` are `usize` if the key must be there and `Option<usize>` if it may be absent. `D` is [`Ignored`] if `head_dim` has
/// no meaning for the model.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct GroupedConfig<K = usize, D = Ignored> {
    /// The other sizes.
    #[serde(flatten)]
    pub decoder: DecoderConfig,
    /// Key and value heads.
    pub num_key_value_heads: K,
    /// Width of a head.
    pub head_dim: D,
    /// Epsilon of the RMS norms.
    pub rms_norm_eps: f64,
}

impl<K, D> GroupedConfig<K, D>
where
    K: Copy + Into<Option<usize>>,
    D: Copy + Into<Option<usize>>,
{
    /// As [`DecoderConfig::dimensions`].
    pub fn dimensions(&self, max_position_embeddings: impl Into<Option<usize>>) -> Dimensions {
        let (kv_heads, head_dim) = (self.num_key_value_heads, self.head_dim);
        self.decoder
            .dimensions(kv_heads, head_dim, max_position_embeddings)
    }

    /// The same, in the type for keys that may be absent.
    pub fn optional(self) -> GroupedConfig<Option<usize>, Option<usize>> {
        let (kv_heads, head_dim) = (self.num_key_value_heads, self.head_dim);
        self.decoder.grouped(kv_heads, head_dim, self.rms_norm_eps)
    }

    /// These sizes and an RMS norm.
    pub fn shape(&self, max_position_embeddings: impl Into<Option<usize>>) -> Shape {
        let dimensions = self.dimensions(max_position_embeddings);
        Shape::new(dimensions, NormKind::Rms(self.rms_norm_eps))
    }

    /// These sizes and an RMS norm whose weight is stored minus one.
    pub fn shape_plus_one(&self, max_position_embeddings: impl Into<Option<usize>>) -> Shape {
        let norm = NormKind::RmsPlusOne(self.rms_norm_eps);
        Shape {
            norm,
            ..self.shape(max_position_embeddings)
        }
    }

    /// Loads RMS norms over each head of queries and keys, from the scope of the attention.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn qk_norms(&self, weights: &Scope<'_>) -> Result<QkNorms, LoadError> {
        let width = self.dimensions(None).attention.head_dim;
        qk_norms(|name| weights.rms_norm(name, width, self.rms_norm_eps))
    }
}

/// A key of a configuration that is not used, whether it is there or not.
#[derive(Debug, Clone, Copy)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<F: Deserializer<'de>>(from: F) -> Result<Self, F::Error> {
        Option::<IgnoredAny>::deserialize(from).map(|_| Self)
    }
}

impl From<Ignored> for Option<usize> {
    fn from(_: Ignored) -> Self {
        None
    }
}

/// The sizes of a model and the norm of its hidden states.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Sizes.
    pub dimensions: Dimensions,
    /// Norm before or after each block, and after the last layer.
    pub norm: NormKind,
}

impl Shape {
    /// These sizes and this norm.
    pub fn new(dimensions: Dimensions, norm: NormKind) -> Self {
        Self { dimensions, norm }
    }
}

/// A norm of hidden states, with its epsilon.
#[derive(Debug, Clone, Copy)]
pub enum NormKind {
    /// RMS norm.
    Rms(f64),
    /// RMS norm whose weight is stored minus one (Gemma).
    RmsPlusOne(f64),
    /// Layer norm with a bias.
    Layer(f64),
    /// Layer norm without a bias (Cohere).
    LayerWithoutBias(f64),
    /// Layer norm whose weight is stored minus one (Nemotron).
    LayerPlusOne(f64),
    /// Layer norm without a weight (OLMo).
    LayerWithoutWeight(f64),
}

impl NormKind {
    /// Loads the norm called `name` of rows of this width.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load(self, name: &str, width: usize, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        match self {
            Self::Rms(eps) => weights.rms_norm(name, width, eps),
            Self::RmsPlusOne(eps) => weights.rms_norm_plus_one(name, width, eps),
            Self::Layer(eps) => weights.layer_norm(name, width, eps),
            Self::LayerWithoutBias(eps) => {
                weights.layer_norm_with_optional_bias(name, width, eps, false)
            }
            Self::LayerPlusOne(eps) => weights.layer_norm_plus_one(name, width, eps),
            Self::LayerWithoutWeight(eps) => Ok(Norm::layer_without_weight(eps)),
        }
    }
}

//! The decoder that most models have: embeddings, layers, final norm, LM head.

use std::fmt::Debug;

use mlxm_kernels::{KernelError, Linear, Norm, Pass, Rows};

use super::{Attention, Embedding, Layer, LmHead, Mlp, Residual, Shape};
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{Dimensions, Model, ModelConfig, Step};

/// A configuration whose model is a [`Decoder`]. Implementing it provides [`ModelConfig`].
pub trait DecoderModel: Debug + Sized {
    /// Sizes, and the norm of hidden states.
    fn shape(&self) -> Shape;

    /// Sizes.
    fn dimensions(&self) -> Dimensions {
        self.shape().dimensions
    }

    /// Width of a head.
    fn head_dim(&self) -> usize {
        DecoderModel::dimensions(self).attention.head_dim
    }

    /// Elements of a head that are rotated, if `factor` is the part of them.
    fn rotated(&self, factor: f64) -> usize {
        (self.head_dim() as f64 * factor) as usize
    }

    /// The sliding window of `layer` in tokens; `None` for full attention.
    fn sliding_window(&self, _layer: usize) -> Option<usize> {
        None
    }

    /// As [`ModelConfig::check`].
    ///
    /// # Errors
    /// A message that names the field.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// As [`ModelConfig::size_key`].
    fn size_key(&self, name: &'static str) -> &'static str {
        name
    }

    /// Loads a norm of hidden states.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        let shape = self.shape();
        let width = shape.dimensions.hidden_size;
        shape.norm.load(name, width, weights)
    }

    /// A block after the norm called `name`.
    ///
    /// # Errors
    /// As [`norm`](Self::norm).
    fn pre_norm(&self, name: &str, weights: &Scope<'_>) -> Result<Residual, LoadError> {
        Ok(Residual::pre_norm(self.norm(name, weights)?))
    }

    /// A block before the norm called `name`.
    ///
    /// # Errors
    /// As [`norm`](Self::norm).
    fn post_norm(&self, name: &str, weights: &Scope<'_>) -> Result<Residual, LoadError> {
        Ok(Residual::post_norm(self.norm(name, weights)?))
    }

    /// A block between the norms called `pre` and `post`.
    ///
    /// # Errors
    /// As [`norm`](Self::norm).
    fn sandwich(&self, pre: &str, post: &str, weights: &Scope<'_>) -> Result<Residual, LoadError> {
        let (pre, post) = (self.norm(pre, weights)?, self.norm(post, weights)?);
        Ok(Residual::sandwich(pre, post))
    }

    /// Loads the attention of layer `layer` from the scope of the layer.
    ///
    /// # Errors
    /// When the configuration is invalid, or a tensor has the wrong shape or element type.
    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError>;

    /// Loads the MLP of a layer from the scope of the layer.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError>;

    /// Whether attention and MLP of a layer have the same input, as in [`Layer::parallel_residual`].
    fn parallel_residual(&self) -> bool {
        false
    }

    /// Whether the LM head is tied to the embeddings. `None`: if the checkpoint has no LM head.
    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(false)
    }

    /// Loads the LM head, if it is not tied, from the scope of the checkpoint.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    fn lm_head(&self, weights: &Scope<'_>) -> Result<Linear, LoadError> {
        let (name, dimensions) = (self.names().lm_head, self.dimensions());
        let (inputs, outputs) = (dimensions.hidden_size, dimensions.vocab_size);
        weights.linear_with_optional_bias(name, inputs, outputs, self.lm_head_bias())
    }

    /// Whether the LM head has a bias.
    fn lm_head_bias(&self) -> bool {
        false
    }

    /// The names of the decoder's parts.
    fn names(&self) -> DecoderNames {
        DecoderNames::default()
    }

    /// Renames or removes tensors of unconverted checkpoints, before those that no model uses are removed.
    fn rename_tensors(&self, _weights: &mut Weights) {}

    /// Loads the decoder. Models that scale embeddings or logits add that here.
    ///
    /// # Errors
    /// When the configuration is invalid, or a tensor has the wrong shape or element type.
    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        Decoder::load(self, weights)
    }
}

impl<M: DecoderModel> ModelConfig for M {
    fn dimensions(&self) -> Dimensions {
        DecoderModel::dimensions(self)
    }

    fn sliding_window(&self, layer: usize) -> Option<usize> {
        DecoderModel::sliding_window(self, layer)
    }

    fn check(&self) -> Result<(), String> {
        DecoderModel::check(self)
    }

    fn size_key(&self, name: &'static str) -> &'static str {
        DecoderModel::size_key(self, name)
    }

    /// Removes tensors that are not used: precomputed RoPE frequencies, cosines and sines at any level, layers for multi-token
    /// prediction, and the LM head, dense or quantized, if it is tied to the embeddings.
    fn sanitize(&self, weights: &mut Weights) {
        self.rename_tensors(weights);
        // RoPE has no parameters: whatever its module (`rope`, `rotary_emb`, `rotary_emb_local`, `rotary_pos_emb`) has is
        // precomputed.
        let unused =
            |part: &str| part == "rope" || part.starts_with("rotary_") || part == "mtp_layers";
        weights.retain(|name| !name.split('.').any(unused));
        if self.tie_word_embeddings() == Some(true) {
            let lm_head = self.names().lm_head;
            weights.retain(|name| {
                name.split_once('.')
                    .is_none_or(|(first, _)| first != lm_head)
            });
        }
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        Ok(Box::new(self.decoder(weights)?))
    }
}

/// The names of a decoder's parts in a checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct DecoderNames {
    /// The scope of the other parts.
    pub model: &'static str,
    /// Token embeddings.
    pub embed_tokens: &'static str,
    /// The scope of the layers, which are numbered.
    pub layers: &'static str,
    /// The norm after the last layer.
    pub norm: &'static str,
    /// The LM head, which is not in the scope of the other parts.
    pub lm_head: &'static str,
}

impl DecoderNames {
    /// The names of GPT-2.
    pub const GPT2: Self = Self {
        model: "transformer",
        embed_tokens: "wte",
        layers: "h",
        norm: "ln_f",
        lm_head: "lm_head",
    };
}

impl Default for DecoderNames {
    fn default() -> Self {
        Self {
            model: "model",
            embed_tokens: "embed_tokens",
            layers: "layers",
            norm: "norm",
            lm_head: "lm_head",
        }
    }
}

/// Embeddings, layers in sequence, final norm, LM head. Models with a different structure implement [`Model`] themselves.
#[derive(Debug)]
pub struct Decoder {
    /// Token embeddings.
    pub embed_tokens: Embedding,
    /// Factor applied to the embeddings (Gemma, Granite).
    pub embedding_scale: Option<f32>,
    /// Learned embeddings of positions, added to those of the tokens (GPT-2).
    pub embed_positions: Option<Embedding>,
    /// The layers, in order.
    pub layers: Vec<Layer>,
    /// The norm after the last layer.
    pub norm: Norm,
    /// Hidden states to logits.
    pub lm_head: LmHead,
}

impl Decoder {
    /// Loads `model.embed_tokens`, `model.layers.{index}`, `model.norm` or what their [names](DecoderModel::names) are, and,
    /// unless tied to the embeddings, the LM head.
    ///
    /// # Errors
    /// When the configuration is invalid, or a tensor has the wrong shape or element type.
    pub fn load(config: &impl DecoderModel, weights: &Scope<'_>) -> Result<Self, LoadError> {
        let dimensions = DecoderModel::dimensions(config);
        let (vocab_size, hidden_size) = (dimensions.vocab_size, dimensions.hidden_size);
        let names = config.names();
        let model = weights.child(names.model);
        let embed_tokens = Embedding::load(names.embed_tokens, &model, vocab_size, hidden_size)?;
        let layers = (0..dimensions.num_hidden_layers)
            .map(|layer| {
                let weights = model.child(names.layers).child(layer);
                Ok(Layer {
                    self_attn: config.attention(layer, &weights)?,
                    mlp: config.mlp(&weights)?,
                    parallel_residual: config.parallel_residual(),
                })
            })
            .collect::<Result<_, LoadError>>()?;
        let norm = config.norm(names.norm, &model)?;
        let tied = config.tie_word_embeddings();
        let lm_head = if tied.unwrap_or_else(|| !weights.has(&format!("{}.weight", names.lm_head)))
        {
            LmHead::tied(&embed_tokens)
        } else {
            LmHead::untied(config.lm_head(weights)?)
        };
        Ok(Self {
            embed_tokens,
            embedding_scale: None,
            embed_positions: None,
            layers,
            norm,
            lm_head,
        })
    }

    /// Multiplies the embeddings by `scale`.
    #[must_use]
    pub fn with_embedding_scale(self, scale: f32) -> Self {
        Self {
            embedding_scale: Some(scale),
            ..self
        }
    }

    /// Adds a learned embedding of its position to that of each token.
    #[must_use]
    pub fn with_embed_positions(self, embed_positions: Embedding) -> Self {
        Self {
            embed_positions: Some(embed_positions),
            ..self
        }
    }

    /// Changes the LM head.
    #[must_use]
    pub fn map_lm_head(self, change: impl FnOnce(LmHead) -> LmHead) -> Self {
        Self {
            lm_head: change(self.lm_head),
            ..self
        }
    }
}

impl Decoder {
    /// The input of the first layer, `[T, hidden]`.
    ///
    /// # Errors
    /// When a kernel rejects its input.
    pub fn embed(&self, step: &mut Step<'_>) -> Result<Rows, KernelError> {
        let ids = step.token_ids();
        let mut h = self.embed_tokens.forward(ids, &mut step.pass)?;
        if let Some(scale) = self.embedding_scale {
            h = step.pass.scale(&h, scale)?;
        }
        if let Some(embed_positions) = &self.embed_positions {
            let positions = step.positions();
            let positions = embed_positions.forward(positions, &mut step.pass)?;
            h = step.pass.add(&h, &positions)?;
        }
        Ok(h)
    }
}

impl Model for Decoder {
    fn forward(&self, step: &mut Step<'_>) -> Result<Rows, KernelError> {
        let mut h = self.embed(step)?;
        for layer in &self.layers {
            h = layer.forward(&h, step)?;
        }
        step.pass.norm(&h, &self.norm)
    }

    fn logits(&self, rows: &Rows, pass: &mut Pass<'_>) -> Result<Rows, KernelError> {
        self.lm_head.forward(rows, pass)
    }
}

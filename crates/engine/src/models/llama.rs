//! Llama, and what is published with the same architecture (Mistral, SmolLM2 and many more).

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{AttentionDims, Dimensions, Model, ModelConfig};
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, GatedMlp, Layer, Residual, RopeConfig,
    RopeScaling,
};

/// `config.json` of a Llama checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    pub(super) decoder: DecoderConfig,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "default_rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    #[serde(default = "default_tie_word_embeddings")]
    tie_word_embeddings: bool,
    layer_types: Option<Vec<String>>,
    sliding_window: Option<usize>,
}

fn default_rope_theta() -> f64 {
    10_000.0
}

fn default_tie_word_embeddings() -> bool {
    true
}

impl Config {
    fn attention_dims(&self) -> AttentionDims {
        self.decoder
            .attention_dims_or_default(self.num_key_value_heads, self.head_dim)
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(
        &self,
        layer: usize,
        weights: &Scope<'_>,
        uses_rope: bool,
    ) -> Result<Attention, LoadError> {
        let dims = self.attention_dims();
        let rope = RopeConfig {
            traditional: self.rope_traditional,
            scaling: self.rope_scaling.as_ref(),
            max_position_embeddings: self.max_position_embeddings,
            ..RopeConfig::new(dims.head_dim, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::pre_norm(self.norm("input_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        let attention = Attention::load(layer, &weights, dims, bias, residual)?
            .with_sliding_window(self.sliding_window(layer));
        Ok(if uses_rope {
            attention.with_rope(rope)
        } else {
            attention
        })
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<GatedMlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("post_attention_layernorm", weights)?);
        let weights = weights.child("mlp");
        GatedMlp::load(
            &weights,
            &self.decoder,
            self.mlp_bias,
            Activation::Silu,
            residual,
        )
    }

    /// Builds the model with RoPE in the layers for which `uses_rope` is true.
    pub(super) fn load_with_rope_layers(
        &self,
        weights: &Scope<'_>,
        uses_rope: impl Fn(usize) -> bool,
    ) -> Result<Box<dyn Model>, LoadError> {
        Ok(Box::new(Decoder::load(
            weights,
            &self.decoder,
            self.tie_word_embeddings,
            |layer, weights| {
                let attention = self.attention(layer, weights, uses_rope(layer))?;
                Ok(Layer::gated(attention, self.mlp(weights)?))
            },
            |name, weights| self.norm(name, weights),
        )?))
    }
}

impl ModelConfig for Config {
    fn dimensions(&self) -> Dimensions {
        self.decoder
            .dimensions(self.attention_dims(), self.max_position_embeddings)
    }

    /// Only layers marked `sliding_attention` have a window, even if the configuration states one.
    fn sliding_window(&self, layer: usize) -> Option<usize> {
        let kind = self.layer_types.as_ref()?.get(layer)?;
        self.sliding_window.filter(|_| kind == "sliding_attention")
    }

    fn sanitize(&self, weights: &mut Weights) {
        Decoder::sanitize(weights, self.tie_word_embeddings);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        self.load_with_rope_layers(weights, |_| true)
    }
}

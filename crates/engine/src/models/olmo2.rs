//! OLMo 2: norms after the blocks instead of before them, and RMS norms over all heads of the queries and keys together.

use mlxm_kernels::{Activation, Norm, QkNorms};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{AttentionDims, Dimensions, Model, ModelConfig};
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, GatedMlp, Layer, Residual, RopeConfig,
    RopeScaling,
};

/// `config.json` of an OLMo 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
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

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.attention_dims();
        let rope = RopeConfig {
            traditional: self.rope_traditional,
            scaling: self.rope_scaling.as_ref(),
            max_position_embeddings: self.max_position_embeddings,
            ..RopeConfig::new(dims.head_dim, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::post_norm(self.norm("post_attention_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let norms = QkNorms {
            q: weights.rms_norm("q_norm", dims.q_width(), self.rms_norm_eps)?,
            k: weights.rms_norm("k_norm", dims.kv_width(), self.rms_norm_eps)?,
        };
        let bias = AttentionBias::all_if(self.attention_bias);
        let attention = Attention::load(layer, &weights, dims, bias, residual)?;
        Ok(attention.with_qk_norms(norms).with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<GatedMlp, LoadError> {
        let residual = Residual::post_norm(self.norm("post_feedforward_layernorm", weights)?);
        let weights = weights.child("mlp");
        GatedMlp::load(
            &weights,
            &self.decoder,
            self.mlp_bias,
            Activation::Silu,
            residual,
        )
    }

    fn layer(&self, layer: usize, weights: &Scope<'_>) -> Result<Layer, LoadError> {
        Ok(Layer::gated(
            self.attention(layer, weights)?,
            self.mlp(weights)?,
        ))
    }
}

impl ModelConfig for Config {
    fn dimensions(&self) -> Dimensions {
        self.decoder
            .dimensions(self.attention_dims(), self.max_position_embeddings)
    }

    fn sanitize(&self, weights: &mut Weights) {
        Decoder::sanitize(weights, self.tie_word_embeddings);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        let decoder = Decoder::load(
            weights,
            &self.decoder,
            self.tie_word_embeddings,
            |layer, weights| self.layer(layer, weights),
            |name, weights| self.norm(name, weights),
        )?;
        Ok(Box::new(decoder))
    }
}

//! Apertus: norms on the heads of queries and keys, an MLP without a gate and with the learned activation xIELU.

use mlxm_kernels::{Activation, Xielu};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, DecoderModel, GroupedConfig, Mlp, MlpNames, RopeConfig, RopeScaling,
    Shape,
};

/// `config.json` of an Apertus checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig,
    max_position_embeddings: usize,
    mlp_bias: bool,
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    tie_word_embeddings: bool,
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.sizes.shape(self.max_position_embeddings)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rope = RopeConfig::new(self.head_dim(), self.rope_theta)
            .traditional(self.rope_traditional)
            .scaled(self.rope_scaling.as_ref(), self.max_position_embeddings)
            .build(weights)?;
        let residual = self.pre_norm("attention_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let norms = self.sizes.qk_norms(&weights)?;
        let attention = Attention::load(self, layer, &weights, AttentionBias::None, residual)?;
        Ok(attention.with_qk_norms(norms).with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("feedforward_layernorm", weights)?;
        let weights = weights.child("mlp");
        let activation = Activation::Xielu(xielu(&weights.child("act_fn"))?);
        let (names, bias) = (MlpNames::UNGATED, self.mlp_bias);
        Mlp::load(self, &weights, names, bias, activation, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }

    /// Both factors of the activation have one axis in unconverted checkpoints.
    fn rename_tensors(&self, weights: &mut Weights) {
        weights.squeeze(|name| name.ends_with("alpha_p") || name.ends_with("alpha_n"));
    }
}

/// The activation. Both factors are positive, and stored before a softplus.
fn xielu(weights: &Scope<'_>) -> Result<Xielu, LoadError> {
    let beta = weights.scalar("beta")?;
    Ok(Xielu {
        alpha_p: softplus(weights.scalar("alpha_p")?),
        alpha_n: beta + softplus(weights.scalar("alpha_n")?),
        beta,
        eps: weights.scalar("eps")?,
    })
}

/// `ln(1 + e^x)`.
fn softplus(x: f32) -> f32 {
    let x = f64::from(x);
    (x.max(0.0) + (-x.abs()).exp().ln_1p()) as f32
}

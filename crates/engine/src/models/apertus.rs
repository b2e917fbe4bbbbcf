//! Apertus: norms on the heads of queries and keys, an MLP without a gate and with the learned activation xIELU.

use mlxm_kernels::{Activation, Norm, QkNorms, Xielu};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, DecoderConfig, DecoderModel, Mlp, MlpNames, Residual, RopeConfig,
    RopeScaling,
};

/// `config.json` of an Apertus checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    mlp_bias: bool,
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    tie_word_embeddings: bool,
}

impl DecoderModel for Config {
    fn dimensions(&self) -> Dimensions {
        self.decoder.dimensions(
            Some(self.num_key_value_heads),
            None,
            Some(self.max_position_embeddings),
        )
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm(name, self.decoder.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rope = RopeConfig {
            traditional: self.rope_traditional,
            scaling: self.rope_scaling.as_ref(),
            max_position_embeddings: Some(self.max_position_embeddings),
            ..RopeConfig::new(dims.head_dim, self.rope_theta)
        };
        let rope = rope.build(weights)?;
        let residual = Residual::pre_norm(self.norm("attention_layernorm", weights)?);
        let weights = weights.child("self_attn");
        let norms = QkNorms {
            q: weights.rms_norm("q_norm", dims.head_dim, self.rms_norm_eps)?,
            k: weights.rms_norm("k_norm", dims.head_dim, self.rms_norm_eps)?,
        };
        let attention = Attention::load(layer, &weights, dims, AttentionBias::None, residual)?;
        Ok(attention.with_qk_norms(norms).with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::pre_norm(self.norm("feedforward_layernorm", weights)?);
        let (weights, dimensions) = (weights.child("mlp"), self.dimensions());
        let activation = Activation::Xielu(xielu(&weights.child("act_fn"))?);
        let (names, bias) = (MlpNames::UNGATED, self.mlp_bias);
        Mlp::load(&weights, names, &dimensions, bias, activation, residual)
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

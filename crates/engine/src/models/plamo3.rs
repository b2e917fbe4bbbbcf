//! PLaMo 3: sliding-window layers and full attention with their own RoPE, norms on the heads of queries and keys and on both
//! sides of each block, whose weights are stored minus a constant.

use mlxm_kernels::{Activation, Norm, QkNorms};
use serde::Deserialize;

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderConfig, DecoderModel, DecoderNames, Mlp,
    Residual, RopeConfig,
};

/// `config.json` of a PLaMo 3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    vocab_size: usize,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    window_size: usize,
    /// Takes precedence over `window_size`.
    sliding_window: Option<usize>,
    sliding_window_pattern: usize,
    rope_theta: f64,
    rope_local_theta: f64,
    tie_word_embeddings: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 4096,
            num_hidden_layers: 32,
            intermediate_size: 13_312,
            num_attention_heads: 32,
            num_key_value_heads: 4,
            head_dim: 128,
            vocab_size: 32_000,
            rms_norm_eps: 1e-6,
            max_position_embeddings: 2048,
            window_size: 2048,
            sliding_window: None,
            sliding_window_pattern: 8,
            rope_theta: 1_000_000.0,
            rope_local_theta: 10_000.0,
            tie_word_embeddings: true,
        }
    }
}

/// What is added to the weight of the norm after the attention.
const POST_MIXER_OFFSET: f32 = 0.2;

/// What is added to the weight of the norm after the MLP: 5^(-3/2).
const POST_MLP_OFFSET: f32 = 0.089_442_72;

impl Config {
    fn norm_plus(&self, name: &str, offset: f32, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm_plus(name, self.hidden_size, self.rms_norm_eps, offset)
    }
}

impl DecoderModel for Config {
    fn dimensions(&self) -> Dimensions {
        let decoder = DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
        };
        decoder.dimensions(
            Some(self.num_key_value_heads),
            Some(self.head_dim),
            Some(self.max_position_embeddings),
        )
    }

    /// The last layer of each pattern has full attention. The others see `window_size` tokens before the current one, as in
    /// mlx-lm when it computes a prompt.
    fn sliding_window(&self, layer: usize) -> Option<usize> {
        let full = (layer + 1).is_multiple_of(self.sliding_window_pattern);
        let window = self.sliding_window.unwrap_or(self.window_size);
        (!full).then_some(window.saturating_add(1))
    }

    fn check(&self) -> Result<(), String> {
        if self.sliding_window_pattern == 0 {
            return Err("`sliding_window_pattern` must be positive".into());
        }
        Ok(())
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm_plus_one(name, self.hidden_size, self.rms_norm_eps)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let window = self.sliding_window(layer);
        let theta = match window {
            Some(_) => self.rope_local_theta,
            None => self.rope_theta,
        };
        let rope = RopeConfig::new(dims.head_dim, theta).build(weights)?;
        let residual = Residual::sandwich(
            self.norm("pre_mixer_norm", weights)?,
            self.norm_plus("post_mixer_norm", POST_MIXER_OFFSET, weights)?,
        );
        let weights = weights.child("mixer");
        let norms = QkNorms {
            q: weights.rms_norm_plus_one("q_norm", dims.head_dim, self.rms_norm_eps)?,
            k: weights.rms_norm_plus_one("k_norm", dims.head_dim, self.rms_norm_eps)?,
        };
        let (names, bias) = (AttentionNames::FUSED, AttentionBias::None);
        let attention = Attention::load_named(layer, &weights, names, dims, bias, residual)?;
        Ok(attention
            .with_sliding_window(window)
            .with_qk_norms(norms)
            .with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = Residual::sandwich(
            self.norm("pre_mlp_norm", weights)?,
            self.norm_plus("post_mlp_norm", POST_MLP_OFFSET, weights)?,
        );
        let weights = weights.child("mlp");
        Mlp::fused_gated(&weights, &self.dimensions(), Activation::Silu, residual)
    }

    fn names(&self) -> DecoderNames {
        DecoderNames {
            layers: "layers.layers",
            ..DecoderNames::default()
        }
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.tie_word_embeddings)
    }
}

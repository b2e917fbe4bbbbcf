//! PLaMo 3: sliding-window layers and full attention with their own RoPE, norms on the heads of queries and keys and on both
//! sides of each block, whose weights are stored minus a constant.

use mlxm_kernels::{Activation, Norm};
use serde::Deserialize;
use serde_json::{Value, json};

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderModel, DecoderNames, GroupedConfig, Mlp,
    Residual, RopeConfig, Shape, qk_norms,
};

/// `config.json` of a PLaMo 3 checkpoint. Absent keys have the [`defaults`].
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<usize, usize>,
    max_position_embeddings: usize,
    window_size: usize,
    /// Takes precedence over `window_size`.
    sliding_window: Option<usize>,
    sliding_window_pattern: usize,
    rope_theta: f64,
    rope_local_theta: f64,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
}

/// The sizes that configurations do not have to state.
pub fn defaults() -> Value {
    json!({
        "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 13_312, "num_attention_heads": 32,
        "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 32_000, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 2048, "window_size": 2048, "sliding_window_pattern": 8,
        "rope_theta": 1_000_000, "rope_local_theta": 10_000,
    })
}

/// What is added to the weight of the norm after the attention.
const POST_MIXER_OFFSET: f32 = 0.2;

/// What is added to the weight of the norm after the MLP: 5^(-3/2).
const POST_MLP_OFFSET: f32 = 0.089_442_72;

impl Config {
    fn norm_plus(&self, name: &str, offset: f32, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        let (width, eps) = (self.sizes.decoder.hidden_size, self.sizes.rms_norm_eps);
        weights.rms_norm_plus(name, width, eps, offset)
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.sizes.shape_plus_one(self.max_position_embeddings)
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
        let norms = qk_norms(|name| {
            weights.rms_norm_plus_one(name, dims.head_dim, self.sizes.rms_norm_eps)
        })?;
        let (names, bias) = (AttentionNames::FUSED, AttentionBias::None);
        let attention = Attention::load_named(self, layer, &weights, names, bias, residual)?;
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
        Mlp::fused_gated(self, &weights.child("mlp"), Activation::Silu, residual)
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

//! Gemma 3 (text): five sliding-window layers to one with full attention, each kind with its own RoPE; norms on the heads of
//! queries and keys and on both sides of each block.

use half::bf16;
use mlxm_kernels::Activation;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderModel, GroupedConfig, Mlp, RopeConfig, RopeScaling,
    Shape, qk_norms,
};

/// `config.json` of a Gemma 3 text checkpoint. Absent keys have the [`defaults`].
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<usize, usize>,
    max_position_embeddings: usize,
    query_pre_attn_scalar: f32,
    sliding_window: usize,
    sliding_window_pattern: usize,
    rope_theta: f64,
    rope_local_base_freq: f64,
    rope_scaling: Option<RopeScaling>,
}

/// The sizes of the 1B model.
pub fn defaults() -> Value {
    json!({
        "hidden_size": 1152, "num_hidden_layers": 26, "intermediate_size": 6912, "num_attention_heads": 4,
        "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 262_144, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 32_768, "query_pre_attn_scalar": 256, "sliding_window": 512,
        "sliding_window_pattern": 6, "rope_theta": 1_000_000, "rope_local_base_freq": 10_000,
    })
}

impl Config {
    /// RoPE of a layer: only full attention is extended beyond the trained length.
    fn rope(&self, layer: usize) -> RopeConfig<'_> {
        match self.sliding_window(layer) {
            Some(_) => RopeConfig::new(self.sizes.head_dim, self.rope_local_base_freq),
            None => RopeConfig::new(self.sizes.head_dim, self.rope_theta)
                .scaled(self.rope_scaling.as_ref(), self.max_position_embeddings),
        }
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        self.sizes.shape_plus_one(self.max_position_embeddings)
    }

    /// The last layer of each pattern has full attention.
    fn sliding_window(&self, layer: usize) -> Option<usize> {
        let full = (layer + 1).is_multiple_of(self.sliding_window_pattern);
        (!full).then_some(self.sliding_window)
    }

    fn check(&self) -> Result<(), String> {
        if self.sliding_window_pattern == 0 {
            return Err("`sliding_window_pattern` must be positive".into());
        }
        Ok(())
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rope = self.rope(layer).build(weights)?;
        let residual = self.sandwich("input_layernorm", "post_attention_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let norms = qk_norms(|name| {
            weights.rms_norm_plus_one(name, dims.head_dim, self.sizes.rms_norm_eps)
        })?;
        let attention = Attention::load(self, layer, &weights, AttentionBias::None, residual)?
            .with_scale(self.query_pre_attn_scalar.powf(-0.5))
            .with_sliding_window(self.sliding_window(layer));
        Ok(attention.with_qk_norms(norms).with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.sandwich(
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
            weights,
        )?;
        Mlp::gated(self, &weights.child("mlp"), Activation::GeluTanh, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        None
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        // mlx-lm rounds this factor to bf16, whatever the dtype of the model.
        let embedding_scale =
            bf16::from_f32((self.sizes.decoder.hidden_size as f32).sqrt()).to_f32();
        Ok(Decoder::load(self, weights)?.with_embedding_scale(embedding_scale))
    }
}

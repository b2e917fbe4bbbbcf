//! Gemma 3 (text): five sliding-window layers to one full, each kind with its own rotation; norms on heads and on both
//! sides of each block.

use half::bf16;
use mlxm_kernels::{Activation, AttentionSpec, QkNorms};
use mlxm_kvcache::GroupKind;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Dimensions, Model, ModelConfig, drop_unused};
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionConfig, AttentionDims, Decoder, DecoderConfig, FeedForward, GatedMlp,
    Layer, QkvProjection, Residual, RopeConfig, rope,
};
use crate::runtime::CacheLayer;

/// `config.json` of a Gemma 3 text checkpoint. Absent fields are those of the 1B model.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    intermediate_size: usize,
    pub(super) num_attention_heads: usize,
    head_dim: usize,
    rms_norm_eps: f64,
    pub(super) vocab_size: usize,
    pub(super) num_key_value_heads: usize,
    rope_theta: f64,
    rope_local_base_freq: f64,
    query_pre_attn_scalar: f32,
    sliding_window: usize,
    sliding_window_pattern: usize,
    max_position_embeddings: usize,
    rope_scaling: Option<Map<String, Value>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 1152,
            num_hidden_layers: 26,
            intermediate_size: 6912,
            num_attention_heads: 4,
            head_dim: 256,
            rms_norm_eps: 1e-6,
            vocab_size: 262_144,
            num_key_value_heads: 1,
            rope_theta: 1_000_000.0,
            rope_local_base_freq: 10_000.0,
            query_pre_attn_scalar: 256.0,
            sliding_window: 512,
            sliding_window_pattern: 6,
            max_position_embeddings: 32_768,
            rope_scaling: None,
        }
    }
}

impl Config {
    fn heads(&self) -> AttentionDims {
        AttentionDims {
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
        }
    }

    /// The window of `layer`; the last layer of each pattern attends fully.
    fn window(&self, layer: usize) -> Option<usize> {
        let full = (layer + 1).is_multiple_of(self.sliding_window_pattern);
        (!full).then_some(self.sliding_window)
    }

    fn residual(
        &self,
        weights: &Scope<'_>,
        before: &str,
        after: &str,
    ) -> Result<Residual, LoadError> {
        let norm = |name| weights.rms_norm_plus_one(name, self.hidden_size, self.rms_norm_eps);
        Ok(Residual::sandwich(norm(before)?, norm(after)?))
    }

    fn attention(&self, weights: &Scope<'_>, layer: usize) -> Result<Attention, LoadError> {
        let heads = self.heads();
        let window = self.window(layer);
        let rotation = RopeConfig {
            dims: heads.head_dim,
            base: if window.is_some() {
                self.rope_local_base_freq
            } else {
                self.rope_theta
            },
            traditional: false,
            scaling: if window.is_some() {
                None
            } else {
                self.rope_scaling.as_ref()
            },
            max_position_embeddings: Some(self.max_position_embeddings),
            context_length: weights.context_length(),
        };
        let rotation = rope(&rotation).map_err(|problem| weights.config_error(problem))?;
        let residual = self.residual(weights, "input_layernorm", "post_attention_layernorm")?;
        let weights = weights.child("self_attn");
        Ok(Attention {
            residual,
            qkv: QkvProjection::separate(&weights, self.hidden_size, heads, false)?,
            head_norms: Some(QkNorms {
                q: weights.rms_norm_plus_one("q_norm", heads.head_dim, self.rms_norm_eps)?,
                k: weights.rms_norm_plus_one("k_norm", heads.head_dim, self.rms_norm_eps)?,
            }),
            o: weights.linear("o_proj", heads.q_width(), self.hidden_size)?,
            config: AttentionConfig {
                layer,
                spec: AttentionSpec {
                    window,
                    ..heads.spec(self.query_pre_attn_scalar.powf(-0.5))
                },
                rope: Some(rotation),
            },
        })
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<GatedMlp, LoadError> {
        let residual = self.residual(
            weights,
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
        )?;
        GatedMlp::load(
            &weights.child("mlp"),
            self.hidden_size,
            self.intermediate_size,
            false,
            Activation::GeluTanh,
            residual,
        )
    }
}

impl ModelConfig for Config {
    fn dimensions(&self) -> Dimensions {
        Dimensions {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            heads: self.heads(),
            max_position_embeddings: Some(self.max_position_embeddings),
        }
    }

    fn cache_layers(&self) -> Vec<CacheLayer> {
        let kind = |layer| {
            self.window(layer)
                .map_or(GroupKind::Full, |window| GroupKind::SlidingWindow {
                    window,
                })
        };
        (0..self.num_hidden_layers)
            .map(|layer| CacheLayer::new(kind(layer), self.heads()))
            .collect()
    }

    fn check(&self) -> Result<(), String> {
        if self.sliding_window_pattern == 0 {
            return Err("`sliding_window_pattern` must be positive".into());
        }
        Ok(())
    }

    fn sanitize(&self, weights: &mut Weights) {
        drop_unused(weights, false);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        // The reference rounds this one number to bf16, whatever the model's type.
        let embedding_scale = bf16::from_f32((self.hidden_size as f32).sqrt()).to_f32();
        let config = DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            tied: !weights.has("lm_head.weight"),
        };
        let norm = |model: &Scope<'_>| {
            model.rms_norm_plus_one("norm", self.hidden_size, self.rms_norm_eps)
        };
        let decoder = Decoder::load(weights, config, norm, |layer, weights| {
            Ok(Layer {
                self_attn: self.attention(weights, layer)?,
                feed_forward: FeedForward::Gated(self.mlp(weights)?),
            })
        })?;
        Ok(Box::new(Decoder {
            embedding_scale: Some(embedding_scale),
            ..decoder
        }))
    }
}

//! Gemma 2: Gemma with norms on both sides of each block and soft caps on scores and logits.
//!
//! The published models alternate sliding and full attention. mlx-lm, the reference here, attends fully in every layer,
//! which is the same up to the window's length; so does this.

use mlxm_kernels::{Activation, AttentionSpec};
use mlxm_kvcache::GroupKind;
use serde::Deserialize;

use super::{Dimensions, Model, ModelConfig, drop_unused};
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionConfig, AttentionDims, Decoder, DecoderConfig, FeedForward, GatedMlp,
    Layer, QkvProjection, Residual, RopeConfig, rope,
};
use crate::runtime::CacheLayer;

/// `config.json` of a Gemma 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    rms_norm_eps: f64,
    vocab_size: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    max_position_embeddings: Option<usize>,
    #[serde(default = "default_rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    #[serde(default = "default_attn_logit_softcapping")]
    attn_logit_softcapping: f32,
    #[serde(default = "default_final_logit_softcapping")]
    final_logit_softcapping: f32,
    #[serde(default = "default_query_pre_attn_scalar")]
    query_pre_attn_scalar: f32,
}

fn default_rope_theta() -> f64 {
    10_000.0
}

fn default_attn_logit_softcapping() -> f32 {
    50.0
}

fn default_final_logit_softcapping() -> f32 {
    30.0
}

fn default_query_pre_attn_scalar() -> f32 {
    144.0
}

impl Config {
    fn heads(&self) -> AttentionDims {
        AttentionDims {
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
        }
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
        let rotation = RopeConfig {
            dims: heads.head_dim,
            base: self.rope_theta,
            traditional: self.rope_traditional,
            scaling: None,
            max_position_embeddings: self.max_position_embeddings,
            context_length: weights.context_length(),
        };
        let rotation = rope(&rotation).map_err(|problem| weights.config_error(problem))?;
        let residual = self.residual(weights, "input_layernorm", "post_attention_layernorm")?;
        let weights = weights.child("self_attn");
        Ok(Attention {
            residual,
            qkv: QkvProjection::separate(&weights, self.hidden_size, heads, false)?,
            head_norms: None,
            o: weights.linear("o_proj", heads.q_width(), self.hidden_size)?,
            config: AttentionConfig {
                layer,
                spec: AttentionSpec {
                    softcap: Some(self.attn_logit_softcapping),
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
            max_position_embeddings: self.max_position_embeddings,
        }
    }

    fn cache_layers(&self) -> Vec<CacheLayer> {
        vec![CacheLayer::new(GroupKind::Full, self.heads()); self.num_hidden_layers]
    }

    fn sanitize(&self, weights: &mut Weights) {
        drop_unused(weights, true);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        let embedding_scale = (self.hidden_size as f32).sqrt();
        let config = DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            tied: true,
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
            head: decoder.head.logit_softcap(self.final_logit_softcapping),
            ..decoder
        }))
    }
}

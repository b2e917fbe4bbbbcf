//! Qwen 3: Llama's shape with an RMS norm over each head of the queries and keys.

use mlxm_kernels::{Activation, QkNorms};
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

/// `config.json` of a Qwen 3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    rms_norm_eps: f64,
    vocab_size: usize,
    num_key_value_heads: usize,
    max_position_embeddings: usize,
    head_dim: usize,
    tie_word_embeddings: bool,
    rope_theta: f64,
    rope_scaling: Option<Map<String, Value>>,
}

impl Config {
    fn heads(&self) -> AttentionDims {
        AttentionDims {
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
        }
    }

    fn attention(&self, weights: &Scope<'_>, layer: usize) -> Result<Attention, LoadError> {
        let heads = self.heads();
        let rotation = RopeConfig {
            dims: heads.head_dim,
            base: self.rope_theta,
            traditional: false,
            scaling: self.rope_scaling.as_ref(),
            max_position_embeddings: Some(self.max_position_embeddings),
            context_length: weights.context_length(),
        };
        let rotation = rope(&rotation).map_err(|problem| weights.config_error(problem))?;
        let norm = weights.rms_norm("input_layernorm", self.hidden_size, self.rms_norm_eps)?;
        let weights = weights.child("self_attn");
        Ok(Attention {
            residual: Residual::pre_norm(norm),
            qkv: QkvProjection::separate(&weights, self.hidden_size, heads, false)?,
            head_norms: Some(QkNorms {
                q: weights.rms_norm("q_norm", heads.head_dim, self.rms_norm_eps)?,
                k: weights.rms_norm("k_norm", heads.head_dim, self.rms_norm_eps)?,
            }),
            o: weights.linear("o_proj", heads.q_width(), self.hidden_size)?,
            config: AttentionConfig {
                layer,
                spec: heads.spec((heads.head_dim as f32).powf(-0.5)),
                rope: Some(rotation),
            },
        })
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<GatedMlp, LoadError> {
        let norm = weights.rms_norm(
            "post_attention_layernorm",
            self.hidden_size,
            self.rms_norm_eps,
        )?;
        GatedMlp::load(
            &weights.child("mlp"),
            self.hidden_size,
            self.intermediate_size,
            false,
            Activation::Silu,
            Residual::pre_norm(norm),
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
        vec![CacheLayer::new(GroupKind::Full, self.heads()); self.num_hidden_layers]
    }

    fn sanitize(&self, weights: &mut Weights) {
        drop_unused(weights, self.tie_word_embeddings);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        let config = DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            tied: self.tie_word_embeddings,
        };
        let norm = |model: &Scope<'_>| model.rms_norm("norm", self.hidden_size, self.rms_norm_eps);
        let decoder = Decoder::load(weights, config, norm, |layer, weights| {
            Ok(Layer {
                self_attn: self.attention(weights, layer)?,
                feed_forward: FeedForward::Gated(self.mlp(weights)?),
            })
        })?;
        Ok(Box::new(decoder))
    }
}

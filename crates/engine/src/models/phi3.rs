//! Phi-3 and Phi-4: one fused projection for queries, keys and values, one for gate and up; partial rotation.

use mlxm_kernels::Activation;
use mlxm_kvcache::GroupKind;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Dimensions, Model, ModelConfig, drop_unused};
use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionConfig, AttentionDims, Decoder, DecoderConfig, FeedForward, GateUp,
    GatedMlp, Layer, QkvProjection, Residual, RopeConfig, rope,
};
use crate::runtime::CacheLayer;

/// `config.json` of a Phi-3 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    rms_norm_eps: f64,
    vocab_size: usize,
    num_key_value_heads: Option<usize>,
    #[serde(default = "default_max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default = "default_rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<Map<String, Value>>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "default_partial_rotary_factor")]
    partial_rotary_factor: f64,
    #[serde(default = "default_original_max_position_embeddings")]
    original_max_position_embeddings: usize,
}

fn default_max_position_embeddings() -> usize {
    131_072
}

fn default_rope_theta() -> f64 {
    10_000.0
}

fn default_partial_rotary_factor() -> f64 {
    1.0
}

fn default_original_max_position_embeddings() -> usize {
    4096
}

impl Config {
    fn heads(&self) -> AttentionDims {
        AttentionDims {
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim: self.hidden_size / self.num_attention_heads.max(1),
        }
    }

    /// The stretch of the rotation. The trained length stands beside `rope_scaling`, not in it; types other than these
    /// are ignored, as the reference does.
    fn scaling(&self) -> Result<Option<Map<String, Value>>, String> {
        let Some(scaling) = &self.rope_scaling else {
            return Ok(None);
        };
        let kind = scaling.get("type").or_else(|| scaling.get("rope_type"));
        let Some(kind) = kind
            .and_then(Value::as_str)
            .filter(|_| scaling.contains_key("long_factor"))
        else {
            return Err("`rope_scaling` must contain `type` and `long_factor`".into());
        };
        if !matches!(kind, "longrope" | "su" | "linear") {
            return Ok(None);
        }
        let mut scaling = scaling.clone();
        scaling.insert(
            "original_max_position_embeddings".into(),
            self.original_max_position_embeddings.into(),
        );
        Ok(Some(scaling))
    }

    fn attention(&self, weights: &Scope<'_>, layer: usize) -> Result<Attention, LoadError> {
        let heads = self.heads();
        let scaling = self
            .scaling()
            .map_err(|problem| weights.config_error(problem))?;
        let rotation = RopeConfig {
            dims: (heads.head_dim as f64 * self.partial_rotary_factor) as usize,
            base: self.rope_theta,
            traditional: self.rope_traditional,
            scaling: scaling.as_ref(),
            max_position_embeddings: Some(self.max_position_embeddings),
            context_length: weights.context_length(),
        };
        let rotation = rope(&rotation).map_err(|problem| weights.config_error(problem))?;
        let norm = weights.rms_norm("input_layernorm", self.hidden_size, self.rms_norm_eps)?;
        let weights = weights.child("self_attn");
        Ok(Attention {
            residual: Residual::pre_norm(norm),
            qkv: QkvProjection::Fused(weights.linear(
                "qkv_proj",
                self.hidden_size,
                heads.q_width() + 2 * heads.kv_width(),
            )?),
            head_norms: None,
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
        let weights = weights.child("mlp");
        Ok(GatedMlp {
            residual: Residual::pre_norm(norm),
            gate_up: GateUp::Fused(weights.linear(
                "gate_up_proj",
                self.hidden_size,
                2 * self.intermediate_size,
            )?),
            down: weights.linear("down_proj", self.intermediate_size, self.hidden_size)?,
            activation: Activation::Silu,
        })
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

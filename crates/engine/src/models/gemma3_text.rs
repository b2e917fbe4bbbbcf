//! Gemma 3 (text): five sliding-window layers to one with full attention, each kind with its own RoPE; norms on the heads of
//! queries and keys and on both sides of each block.

use half::bf16;
use mlxm_kernels::{Activation, Norm, QkNorms};
use serde::Deserialize;

use crate::checkpoint::{Scope, Weights};
use crate::error::LoadError;
use crate::forward::{AttentionDims, Dimensions, Model, ModelConfig};
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, GatedMlp, Layer, Residual, RopeConfig,
    RopeScaling,
};

/// `config.json` of a Gemma 3 text checkpoint. The defaults are the sizes of the 1B model.
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
    query_pre_attn_scalar: f32,
    sliding_window: usize,
    sliding_window_pattern: usize,
    rope_theta: f64,
    rope_local_base_freq: f64,
    rope_scaling: Option<RopeScaling>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 1152,
            num_hidden_layers: 26,
            intermediate_size: 6912,
            num_attention_heads: 4,
            num_key_value_heads: 1,
            head_dim: 256,
            vocab_size: 262_144,
            rms_norm_eps: 1e-6,
            max_position_embeddings: 32_768,
            query_pre_attn_scalar: 256.0,
            sliding_window: 512,
            sliding_window_pattern: 6,
            rope_theta: 1_000_000.0,
            rope_local_base_freq: 10_000.0,
            rope_scaling: None,
        }
    }
}

impl Config {
    fn decoder(&self) -> DecoderConfig {
        DecoderConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
        }
    }

    fn attention_dims(&self) -> AttentionDims {
        self.decoder()
            .attention_dims(self.num_key_value_heads, self.head_dim)
    }

    fn norm(&self, name: &str, weights: &Scope<'_>) -> Result<Norm, LoadError> {
        weights.rms_norm_plus_one(name, self.hidden_size, self.rms_norm_eps)
    }

    /// RoPE of a layer: only full attention is extended beyond the trained length.
    fn rope(&self, layer: usize) -> RopeConfig<'_> {
        match self.sliding_window(layer) {
            Some(_) => RopeConfig::new(self.head_dim, self.rope_local_base_freq),
            None => RopeConfig {
                scaling: self.rope_scaling.as_ref(),
                max_position_embeddings: Some(self.max_position_embeddings),
                ..RopeConfig::new(self.head_dim, self.rope_theta)
            },
        }
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rope = self.rope(layer).build(weights)?;
        let residual = Residual::sandwich(
            self.norm("input_layernorm", weights)?,
            self.norm("post_attention_layernorm", weights)?,
        );
        let weights = weights.child("self_attn");
        let norms = QkNorms {
            q: weights.rms_norm_plus_one("q_norm", self.head_dim, self.rms_norm_eps)?,
            k: weights.rms_norm_plus_one("k_norm", self.head_dim, self.rms_norm_eps)?,
        };
        let (dims, bias) = (self.attention_dims(), AttentionBias::None);
        let attention = Attention::load(layer, &weights, dims, bias, residual)?
            .with_scale(self.query_pre_attn_scalar.powf(-0.5))
            .with_sliding_window(self.sliding_window(layer));
        Ok(attention.with_qk_norms(norms).with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<GatedMlp, LoadError> {
        let residual = Residual::sandwich(
            self.norm("pre_feedforward_layernorm", weights)?,
            self.norm("post_feedforward_layernorm", weights)?,
        );
        let weights = weights.child("mlp");
        GatedMlp::load(
            &weights,
            &self.decoder(),
            false,
            Activation::GeluTanh,
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
        let longest = Some(self.max_position_embeddings);
        self.decoder().dimensions(self.attention_dims(), longest)
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

    fn sanitize(&self, weights: &mut Weights) {
        Decoder::sanitize(weights, false);
    }

    fn load(&self, weights: &Scope<'_>) -> Result<Box<dyn Model>, LoadError> {
        let tied = !weights.has("lm_head.weight");
        let layer = |layer, weights: &Scope<'_>| self.layer(layer, weights);
        let norm = |name: &str, weights: &Scope<'_>| self.norm(name, weights);
        let decoder = Decoder::load(weights, &self.decoder(), tied, layer, norm)?;
        // mlx-lm rounds this factor to bf16, whatever the dtype of the model.
        let embedding_scale = bf16::from_f32((self.hidden_size as f32).sqrt()).to_f32();
        Ok(Box::new(decoder.with_embedding_scale(embedding_scale)))
    }
}

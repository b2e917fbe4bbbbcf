//! Cohere Command R: attention and MLP in parallel after one layer norm without bias, RoPE of adjacent pairs, scaled logits.

use mlxm_kernels::{Activation, QkNorms};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, Decoder, DecoderConfig, DecoderModel, Mlp, NormKind, RopeConfig,
    Shape,
};

/// `config.json` of a Cohere checkpoint. Absent keys have the [`defaults`].
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: usize,
    max_position_embeddings: Option<usize>,
    rope_theta: f64,
    layer_norm_eps: f64,
    #[serde(default)]
    layer_norm_bias: bool,
    logit_scale: f32,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    use_qk_norm: bool,
}

/// The sizes of Command R.
pub fn defaults() -> Value {
    json!({
        "hidden_size": 8192, "num_hidden_layers": 40, "intermediate_size": 22_528, "num_attention_heads": 64,
        "num_key_value_heads": 64, "vocab_size": 256_000, "rope_theta": 8_000_000, "layer_norm_eps": 1e-5,
        "logit_scale": 0.0625,
    })
}

impl Config {
    /// Factor of the logits.
    pub fn logit_scale(&self) -> f32 {
        self.logit_scale
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        let (kv_heads, context) = (self.num_key_value_heads, self.max_position_embeddings);
        let dimensions = self.decoder.dimensions(kv_heads, None, context);
        let norm = if self.layer_norm_bias {
            NormKind::Layer(self.layer_norm_eps)
        } else {
            NormKind::LayerWithoutBias(self.layer_norm_eps)
        };
        Shape::new(dimensions, norm)
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let dims = self.dimensions().attention;
        let rope = RopeConfig::new(dims.head_dim, self.rope_theta)
            .traditional(true)
            .build(weights)?;
        let residual = self.pre_norm("input_layernorm", weights)?;
        let weights = weights.child("self_attn");
        let bias = AttentionBias::all_if(self.attention_bias);
        let attention = Attention::load(self, layer, &weights, bias, residual)?.with_rope(rope);
        if !self.use_qk_norm {
            return Ok(attention);
        }
        let norm = |name, heads| {
            weights.layer_norm_per_head(name, heads, dims.head_dim, self.layer_norm_eps)
        };
        Ok(attention.with_qk_norms(QkNorms {
            q: norm("q_norm", dims.heads)?,
            k: norm("k_norm", dims.kv_heads)?,
        }))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("input_layernorm", weights)?;
        Mlp::gated(self, &weights.child("mlp"), Activation::Silu, residual)
    }

    fn parallel_residual(&self) -> bool {
        true
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(true)
    }

    fn decoder(&self, weights: &Scope<'_>) -> Result<Decoder, LoadError> {
        let scale = self.logit_scale;
        Ok(Decoder::load(self, weights)?.map_lm_head(|lm_head| lm_head.logit_scale(scale)))
    }
}

//! OLMo: Llama with layer norms without parameters, one projection for queries, keys and values, and one for up and gate.

use mlxm_kernels::Activation;
use serde::Deserialize;

use super::defaults;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::nn::{
    Attention, AttentionBias, AttentionNames, DecoderConfig, DecoderModel, DecoderNames, Mlp,
    MlpInputNames, MlpNames, NormKind, RopeConfig, Shape,
};

const ATTENTION: AttentionNames = AttentionNames::fused("att_proj", "attn_out");

const MLP: MlpNames = MlpNames {
    input: MlpInputNames::FusedUpGate("ff_proj"),
    down: "ff_out",
};

/// The default of PyTorch and MLX, which is no part of the configuration.
const LAYER_NORM_EPS: f64 = 1e-5;

/// `config.json` of an OLMo checkpoint, in the format of ai2-olmo and mlx-lm.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    d_model: usize,
    n_layers: usize,
    n_heads: usize,
    /// Width of up and gate together; `mlp_ratio` times `d_model` if it is null.
    mlp_hidden_size: Option<usize>,
    #[serde(default = "default_mlp_ratio")]
    mlp_ratio: usize,
    /// Rows of the embedding table.
    embedding_size: usize,
    max_sequence_length: Option<usize>,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    #[serde(default)]
    weight_tying: bool,
    /// A limit of queries, keys and values.
    clip_qkv: Option<f64>,
    /// Biases of scores by distance.
    #[serde(default)]
    alibi: bool,
}

fn default_mlp_ratio() -> usize {
    4
}

impl Config {
    fn mlp_hidden_size(&self) -> usize {
        let by_ratio = self.mlp_ratio.saturating_mul(self.d_model);
        self.mlp_hidden_size.unwrap_or(by_ratio)
    }
}

impl DecoderModel for Config {
    fn shape(&self) -> Shape {
        let (width, layers, heads) = (self.d_model, self.n_layers, self.n_heads);
        let mlp = self.mlp_hidden_size() / 2;
        let decoder = DecoderConfig::new(self.embedding_size, width, mlp, layers, heads);
        let dimensions = decoder.dimensions(None, None, self.max_sequence_length);
        Shape::new(dimensions, NormKind::LayerWithoutWeight(LAYER_NORM_EPS))
    }

    fn check(&self) -> Result<(), String> {
        if self.clip_qkv.is_some() {
            return Err("`clip_qkv` is not supported".into());
        }
        if self.alibi {
            return Err("`alibi` is not supported".into());
        }
        if !self.mlp_hidden_size().is_multiple_of(2) {
            return Err(format!(
                "`mlp_hidden_size` ({}) must be even: it is the width of up and gate together",
                self.mlp_hidden_size()
            ));
        }
        Ok(())
    }

    fn size_key(&self, name: &'static str) -> &'static str {
        match name {
            "vocab_size" => "embedding_size",
            "hidden_size" => "d_model",
            "intermediate_size" => "mlp_hidden_size",
            "num_hidden_layers" => "n_layers",
            "num_attention_heads" => "n_heads",
            "max_position_embeddings" => "max_sequence_length",
            other => other,
        }
    }

    fn attention(&self, layer: usize, weights: &Scope<'_>) -> Result<Attention, LoadError> {
        let rope = RopeConfig::new(self.head_dim(), self.rope_theta)
            .traditional(self.rope_traditional)
            .build(weights)?;
        let residual = self.pre_norm("att_norm", weights)?;
        let bias = AttentionBias::None;
        let attention = Attention::load_named(self, layer, weights, ATTENTION, bias, residual)?;
        Ok(attention.with_rope(rope))
    }

    fn mlp(&self, weights: &Scope<'_>) -> Result<Mlp, LoadError> {
        let residual = self.pre_norm("ff_norm", weights)?;
        Mlp::load(self, weights, MLP, false, Activation::Silu, residual)
    }

    fn tie_word_embeddings(&self) -> Option<bool> {
        Some(self.weight_tying)
    }

    fn names(&self) -> DecoderNames {
        DecoderNames {
            model: "model.transformer",
            embed_tokens: "wte",
            layers: "blocks",
            norm: "norm",
            lm_head: "model.transformer.ff_out",
        }
    }
}

//! EXAONE 3 and 3.5: Llama under the names of GPT-2.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{
    AttentionBias, AttentionNames, DecoderConfig, DecoderNames, LayerNames, MlpNames, RopeKeys,
    RopeScaling,
};

/// `config.json` of an EXAONE checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    hidden_size: usize,
    num_layers: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    vocab_size: usize,
    rope_theta: f64,
    layer_norm_epsilon: f64,
    num_key_value_heads: usize,
    head_dim: Option<usize>,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    #[serde(default = "defaults::tie_word_embeddings")]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: AttentionBias,
    #[serde(default)]
    mlp_bias: bool,
}

fn names() -> llama::Names {
    llama::Names {
        decoder: DecoderNames::GPT2,
        layer: LayerNames {
            input_norm: "ln_1",
            attention: "attn.attention",
            attention_projections: AttentionNames::SEPARATE.with_output("out_proj"),
            post_attention_norm: "ln_2",
            mlp: "mlp",
            mlp_projections: MlpNames::gated("c_fc_0", "c_fc_1", "c_proj"),
        },
        size_keys: &[("num_hidden_layers", "num_layers")],
    }
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        let (width, mlp) = (config.hidden_size, config.intermediate_size);
        let (layers, heads) = (config.num_layers, config.num_attention_heads);
        let decoder = DecoderConfig::new(config.vocab_size, width, mlp, layers, heads);
        let (kv_heads, eps) = (config.num_key_value_heads, config.layer_norm_epsilon);
        let sizes = decoder.grouped(kv_heads, config.head_dim, eps);
        let rope = RopeKeys {
            rope_theta: config.rope_theta,
            rope_traditional: config.rope_traditional,
            rope_scaling: config.rope_scaling,
        };
        Self {
            max_position_embeddings: config.max_position_embeddings,
            attention_bias: config.attention_bias,
            mlp_bias: config.mlp_bias,
            tie_word_embeddings: config.tie_word_embeddings,
            names: names(),
            ..Self::new(sizes, rope)
        }
    }
}

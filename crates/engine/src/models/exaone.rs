//! EXAONE 3 and 3.5: Llama under the names of GPT-2.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{
    AttentionBias, AttentionNames, DecoderConfig, DecoderNames, LayerNames, MlpInputNames,
    MlpNames, RopeScaling,
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
        decoder: DecoderNames {
            model: "transformer",
            embed_tokens: "wte",
            layers: "h",
            norm: "ln_f",
            ..DecoderNames::default()
        },
        layer: LayerNames {
            input_norm: "ln_1",
            attention: "attn.attention",
            attention_projections: AttentionNames {
                o: "out_proj",
                ..AttentionNames::SEPARATE
            },
            post_attention_norm: "ln_2",
            mlp: "mlp",
            mlp_projections: MlpNames {
                input: MlpInputNames::Gated {
                    gate: "c_fc_0",
                    up: "c_fc_1",
                },
                down: "c_proj",
            },
        },
        size_keys: &[("num_hidden_layers", "num_layers")],
    }
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        let decoder = DecoderConfig {
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            num_hidden_layers: config.num_layers,
            num_attention_heads: config.num_attention_heads,
        };
        Self {
            num_key_value_heads: Some(config.num_key_value_heads),
            head_dim: config.head_dim,
            max_position_embeddings: config.max_position_embeddings,
            attention_bias: config.attention_bias,
            mlp_bias: config.mlp_bias,
            rope_traditional: config.rope_traditional,
            rope_scaling: config.rope_scaling,
            tie_word_embeddings: config.tie_word_embeddings,
            names: names(),
            ..Self::new(decoder, config.layer_norm_epsilon, config.rope_theta)
        }
    }
}

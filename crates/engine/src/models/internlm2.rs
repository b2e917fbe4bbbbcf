//! `InternLM` 2 and 2.5: Llama under other names, with queries, keys and values in one weight by key and value head.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{
    AttentionBias, AttentionNames, DecoderConfig, DecoderNames, LayerNames, MlpInputNames,
    MlpNames, QkvNames, RopeScaling,
};

/// `config.json` of an `InternLM` 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    decoder: DecoderConfig,
    num_key_value_heads: Option<usize>,
    rms_norm_eps: f64,
    #[serde(default = "defaults::max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default = "default_bias")]
    bias: AttentionBias,
    #[serde(default = "defaults::rope_theta")]
    rope_theta: f64,
    #[serde(default)]
    rope_traditional: bool,
    rope_scaling: Option<RopeScaling>,
    #[serde(default)]
    tie_word_embeddings: bool,
}

fn default_bias() -> AttentionBias {
    AttentionBias::All
}

fn names() -> llama::Names {
    llama::Names {
        decoder: DecoderNames {
            embed_tokens: "tok_embeddings",
            lm_head: "output",
            ..DecoderNames::default()
        },
        layer: LayerNames {
            input_norm: "attention_norm",
            attention: "attention",
            attention_projections: AttentionNames {
                qkv: QkvNames::FusedByGroup("wqkv"),
                o: "wo",
            },
            post_attention_norm: "ffn_norm",
            mlp: "feed_forward",
            mlp_projections: MlpNames {
                input: MlpInputNames::Gated {
                    gate: "w1",
                    up: "w3",
                },
                down: "w2",
            },
        },
        ..llama::Names::default()
    }
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        Self {
            num_key_value_heads: config.num_key_value_heads,
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: config.bias,
            rope_traditional: config.rope_traditional,
            rope_scaling: config.rope_scaling,
            tie_word_embeddings: config.tie_word_embeddings,
            names: names(),
            ..Self::new(config.decoder, config.rms_norm_eps, config.rope_theta)
        }
    }
}

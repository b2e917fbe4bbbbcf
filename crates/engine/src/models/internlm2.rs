//! `InternLM` 2 and 2.5: Llama under other names, with queries, keys and values in one weight by key and value head.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{
    AttentionBias, AttentionNames, DecoderNames, GroupedConfig, LayerNames, MlpNames, RopeKeys,
};

/// `config.json` of an `InternLM` 2 checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    sizes: GroupedConfig<Option<usize>>,
    #[serde(default = "defaults::max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default = "default_bias")]
    bias: AttentionBias,
    #[serde(flatten)]
    rope: RopeKeys,
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
            attention_projections: AttentionNames::fused_by_group("wqkv", "wo"),
            post_attention_norm: "ffn_norm",
            mlp: "feed_forward",
            mlp_projections: MlpNames::gated("w1", "w3", "w2"),
        },
        ..llama::Names::default()
    }
}

impl From<Config> for llama::Config {
    fn from(config: Config) -> Self {
        Self {
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: config.bias,
            tie_word_embeddings: config.tie_word_embeddings,
            names: names(),
            ..Self::new(config.sizes, config.rope)
        }
    }
}

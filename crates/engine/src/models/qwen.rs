//! Qwen: Llama with queries, keys and values in one weight with a bias, under the names of GPT-2.

use serde::Deserialize;

use super::{defaults, llama};
use crate::nn::{
    AttentionBias, AttentionNames, DecoderConfig, DecoderNames, LayerNames, MlpInputNames,
    MlpNames, QkvNames,
};

/// `config.json` of a Qwen checkpoint. The defaults are the sizes of the 1.8B model.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    hidden_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    /// Width of a head.
    kv_channels: usize,
    max_position_embeddings: usize,
    layer_norm_epsilon: f64,
    /// Width of gate and up together.
    intermediate_size: usize,
    /// No bias on any projection except queries, keys and values, which always have one.
    no_bias: bool,
    vocab_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hidden_size: 2048,
            num_attention_heads: 16,
            num_hidden_layers: 24,
            kv_channels: 128,
            max_position_embeddings: 8192,
            layer_norm_epsilon: 1e-6,
            intermediate_size: 11_008,
            no_bias: true,
            vocab_size: 151_936,
        }
    }
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
            attention: "attn",
            attention_projections: AttentionNames {
                qkv: QkvNames::Fused("c_attn"),
                o: "c_proj",
            },
            post_attention_norm: "ln_2",
            mlp: "mlp",
            mlp_projections: MlpNames {
                input: MlpInputNames::Gated {
                    gate: "w2",
                    up: "w1",
                },
                down: "c_proj",
            },
        },
        ..llama::Names::default()
    }
}

impl TryFrom<Config> for llama::Config {
    type Error = String;

    fn try_from(config: Config) -> Result<Self, String> {
        let heads = config.num_attention_heads;
        if config.kv_channels.checked_mul(heads) != Some(config.hidden_size) {
            return Err(format!(
                "`kv_channels` ({}) × `num_attention_heads` ({heads}) must be `hidden_size` ({})",
                config.kv_channels, config.hidden_size
            ));
        }
        let decoder = DecoderConfig {
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size / 2,
            num_hidden_layers: config.num_hidden_layers,
            num_attention_heads: heads,
        };
        let bias = !config.no_bias;
        Ok(Self {
            max_position_embeddings: Some(config.max_position_embeddings),
            attention_bias: AttentionBias::of(true, bias),
            mlp_bias: bias,
            lm_head_bias: bias,
            names: names(),
            ..Self::new(decoder, config.layer_norm_epsilon, defaults::rope_theta())
        })
    }
}
